use crate::Dialect;

/// What a member of a request bounds, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceiling {
    /// The answer, to which a budget for reasoning may come.
    Answer,
    /// Answer and reasoning together.
    Whole,
}

impl Ceiling {
    /// The bound of this name, where the hosts of the dialect honour it. They pass over any other name, so it bounds nothing.
    pub(crate) fn named(dialect: Dialect, name: &str) -> Option<Self> {
        use Dialect::{Anthropic, Chat, Completions, Generate, NativeMultimodal, NativeText};
        match (dialect, name) {
            // Chat: Model Studio's API reference (2025-12-30) has `max_tokens`, that of 2026 `max_completion_tokens` too.
            // Completions: OpenAI's reference and vLLM 0.33 (2026-11) know this name alone. Native: `parameters.max_tokens` of
            // the same reference of Model Studio. Anthropic: its Messages API (2026-11). Generate: the body that defines it.
            (
                Chat | Completions | NativeText | NativeMultimodal | Anthropic | Generate,
                "max_tokens",
            ) => Some(Self::Answer),
            (Chat, "max_completion_tokens") => Some(Self::Whole),
            // OpenAI's Responses API (2026-11), which Model Studio follows. Reasoning counts as output.
            (Dialect::Responses, "max_output_tokens") => Some(Self::Whole),
            _ => None,
        }
    }
}
