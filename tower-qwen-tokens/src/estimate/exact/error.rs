/// JSON that is no chat, or no JSON at all. Says where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON of a chat (line {line}, column {column})")]
pub struct ChatError {
    line: usize,
    column: usize,
}

impl ChatError {
    pub(super) fn new(error: &serde_json::Error) -> Self {
        Self {
            line: error.line(),
            column: error.column(),
        }
    }
}
