use std::{error::Error, fmt};

/// JSON that is no chat, or no JSON at all. Says where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl fmt::Display for ChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "not the JSON of a chat (line {line}, column {column})")
    }
}

impl Error for ChatError {}
