use std::fmt;

/// The shape of a request and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI-compatible chat completions.
    Chat,
    /// OpenAI-compatible completions of a bare prompt.
    Completions,
    /// OpenAI-compatible embeddings.
    Embeddings,
    /// OpenAI-compatible responses.
    Responses,
    /// DashScope's own text generation.
    NativeText,
    /// DashScope's own multimodal generation.
    NativeMultimodal,
    /// DashScope's own embeddings.
    NativeEmbeddings,
    /// Anthropic-compatible messages.
    Anthropic,
    /// The legacy `{"prompt", "max_tokens"}` at `/v1/generate`.
    Generate,
}

/// Ends of paths; of two that fit the longer comes first. Any prefix is allowed: hosts and gateways
/// add their own.
const PATHS: &[(&str, Dialect)] = &[
    ("/chat/completions", Dialect::Chat),
    ("/completions", Dialect::Completions),
    ("/embeddings", Dialect::Embeddings),
    ("/responses", Dialect::Responses),
    ("/text-generation/generation", Dialect::NativeText),
    (
        "/multimodal-generation/generation",
        Dialect::NativeMultimodal,
    ),
    ("/text-embedding/text-embedding", Dialect::NativeEmbeddings),
    (
        "/multimodal-embedding/multimodal-embedding",
        Dialect::NativeEmbeddings,
    ),
    ("/v1/messages", Dialect::Anthropic),
    ("/v1/generate", Dialect::Generate),
];

impl Dialect {
    /// Every dialect, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::NativeText,
        Self::NativeMultimodal,
        Self::NativeEmbeddings,
        Self::Anthropic,
        Self::Generate,
    ];

    /// The dialect spoken at a path, by its end; `None` where no model is called (files, batches, tasks, ...).
    ///
    /// ```
    /// # use tower_qwen_tokens::Dialect;
    /// assert_eq!(Dialect::of_path("/compatible-mode/v1/chat/completions"), Some(Dialect::Chat));
    /// assert_eq!(Dialect::of_path("/compatible-mode/v1/files"), None);
    /// ```
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        // Gateways accept a slash at the end, so clients send it.
        let path = path.strip_suffix('/').unwrap_or(path);
        PATHS
            .iter()
            .find(|(end, _)| path.ends_with(end))
            .map(|&(_, dialect)| dialect)
    }

    /// Whether this is DashScope's own shape: `input` and `parameters`, streaming switched on by a
    /// header.
    #[must_use]
    pub fn is_native(self) -> bool {
        matches!(
            self,
            Self::NativeText | Self::NativeMultimodal | Self::NativeEmbeddings
        )
    }

    /// Whether the answer is vectors, hence without output tokens.
    #[must_use]
    pub fn is_embedding(self) -> bool {
        matches!(self, Self::Embeddings | Self::NativeEmbeddings)
    }

    /// The name in `snake_case`, for metrics. Stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::NativeText => "native_text",
            Self::NativeMultimodal => "native_multimodal",
            Self::NativeEmbeddings => "native_embeddings",
            Self::Anthropic => "anthropic",
            Self::Generate => "generate",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect::{self, *};

    #[test]
    fn paths_of_every_host() {
        let rows: &[(&str, Option<Dialect>)] = &[
            ("/compatible-mode/v1/chat/completions", Some(Chat)),
            ("/v1/chat/completions/", Some(Chat)),
            ("/api/openai/v1/chat/completions", Some(Chat)),
            ("/compatible-mode/v1/completions", Some(Completions)),
            ("/compatible-mode/v1/embeddings", Some(Embeddings)),
            ("/compatible-mode/v1/responses", Some(Responses)),
            (
                "/api/v2/apps/protocols/compatible-mode/v1/responses",
                Some(Responses),
            ),
            (
                "/api/v1/services/aigc/text-generation/generation",
                Some(NativeText),
            ),
            (
                "/api/v1/services/aigc/multimodal-generation/generation",
                Some(NativeMultimodal),
            ),
            (
                "/api/v1/services/embeddings/text-embedding/text-embedding",
                Some(NativeEmbeddings),
            ),
            ("/apps/anthropic/v1/messages", Some(Anthropic)),
            ("/v1/generate", Some(Generate)),
            ("", None),
            ("/", None),
            ("/v1/files", None),
            ("/v1/batches", None),
            ("/v1/models", None),
            ("/api/v1/tasks/123", None),
            ("/api/v1/tokenizer", None),
            ("/v1/messages/count_tokens", None),
            ("/v1/threads/thread_1/messages", None),
            ("/v1/chat/completions/chatcmpl-1", None),
            ("/v1/mycompletions", None),
            ("/api/v1/services/aigc/text2image/image-synthesis", None),
        ];
        for &(path, dialect) in rows {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }

    #[test]
    fn native_and_embedding() {
        assert!(NativeText.is_native() && NativeEmbeddings.is_native());
        assert!(!Chat.is_native() && !Generate.is_native());
        assert!(Embeddings.is_embedding() && !NativeText.is_embedding());
    }
}
