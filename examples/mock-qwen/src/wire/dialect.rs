//! The dialects.

/// Which of the interfaces a call came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As OpenAI's chat completions.
    Compatible,
    /// As OpenAI's completions.
    Completions,
    /// As OpenAI's responses.
    Responses,
    /// As Anthropic's messages.
    Messages,
    /// As OpenAI's embeddings.
    Embeddings,
    /// DashScope's own, for texts.
    Native,
    /// DashScope's own, for pictures and texts.
    Multimodal,
    /// DashScope's own, for embeddings.
    NativeEmbeddings,
}

impl Dialect {
    /// Whether it is one of DashScope's own.
    pub(crate) fn is_native(self) -> bool {
        matches!(
            self,
            Self::Native | Self::Multimodal | Self::NativeEmbeddings
        )
    }
}
