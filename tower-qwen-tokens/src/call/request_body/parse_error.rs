/// A body that is no request. Says where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} (line {line}, column {column})", .kind.text())]
pub struct ParseError {
    kind: ParseErrorKind,
    line: usize,
    column: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// It is not JSON.
    NotJson,
    /// It is JSON, but no object.
    NotObject,
    /// It is nested more than 127 levels deep.
    TooDeep,
    /// It names its model twice: servers differ in which of both they run.
    ModelTwice,
}

/// By this text an error of serde's is that of [`ParseErrorKind::ModelTwice`]: it has no kind of its own for it.
pub(super) const MODEL_TWICE: &str = "the model is named twice";

impl ParseError {
    pub(super) fn new(error: &serde_json::Error) -> Self {
        // serde_json has no category for the recursion limit: its text is the only sign.
        let too_deep =
            error.is_syntax() && error.to_string().starts_with("recursion limit exceeded");
        let model_twice = error.is_data() && error.to_string().starts_with(MODEL_TWICE);
        Self {
            kind: if too_deep {
                ParseErrorKind::TooDeep
            } else if model_twice {
                ParseErrorKind::ModelTwice
            } else {
                ParseErrorKind::NotJson
            },
            line: error.line(),
            column: error.column(),
        }
    }

    /// JSON of another kind, from its first byte on.
    pub(super) fn not_object() -> Self {
        Self {
            kind: ParseErrorKind::NotObject,
            line: 1,
            column: 1,
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }
}

impl ParseErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::NotJson => "request body is not JSON",
            Self::NotObject => "request body is no JSON object",
            Self::TooDeep => "request body is nested too deep",
            Self::ModelTwice => "request body has `model` twice",
        }
    }
}
