/// What a member of a request bounds, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceiling {
    /// The answer, to which a budget for reasoning may come.
    Answer,
    /// Answer and reasoning together. Goes before the other.
    Whole,
}

impl Ceiling {
    /// The bound of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "max_tokens" => Some(Self::Answer),
            // Chat names it one way, Responses the other; both count reasoning as output.
            "max_completion_tokens" | "max_output_tokens" => Some(Self::Whole),
            _ => None,
        }
    }
}
