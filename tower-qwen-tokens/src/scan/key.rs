/// The longest name that matters, in bytes: `reasoning_content` has 17. Longer names are none of
/// ours.
pub(super) const MAX_NAME: usize = 20;

/// The members of an answer that matter to the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Usage,
    /// The model that answers.
    Model,
    /// The answers of a compatible call.
    Choices,
    /// Holds the whole answer in the events of the responses dialect.
    Response,
    /// The number of an answer among them.
    Index,
    /// What the host calls the answer.
    Id,
    /// Where Groq states usage that was not asked for.
    XGroq,
    /// Holds the whole answer in the first event of Anthropic's streams, and an error's text
    /// elsewhere.
    Message,
    /// A member that only errors have: `error`, `code`.
    Failure,
    /// Why the model stopped.
    Finish,
    /// Text of the model.
    Text,
    /// Text of the model under the three names for thoughts: some hosts state the same under several.
    ReasoningContent,
    Reasoning,
    ReasoningDetails,
    /// A piece of text in the events of the responses dialect.
    Delta,
}

impl Key {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"usage" => Self::Usage,
            b"model" => Self::Model,
            b"choices" => Self::Choices,
            b"response" => Self::Response,
            b"message" => Self::Message,
            b"error" | b"code" => Self::Failure,
            b"finish_reason" | b"stop_reason" => Self::Finish,
            b"content" | b"text" | b"thinking" | b"arguments" | b"partial_json" | b"refusal" => {
                Self::Text
            }
            b"reasoning_content" => Self::ReasoningContent,
            b"reasoning" => Self::Reasoning,
            b"reasoning_details" => Self::ReasoningDetails,
            b"index" => Self::Index,
            b"id" => Self::Id,
            b"x_groq" => Self::XGroq,
            b"delta" => Self::Delta,
            _ => return None,
        })
    }
}
