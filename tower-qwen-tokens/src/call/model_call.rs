use std::sync::Arc;

use crate::{Dialect, estimate::Estimated};

/// What a request wants from a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelCall {
    /// The dialect of the request.
    pub dialect: Dialect,
    /// The model, as written; empty where the request names none.
    pub model: Arc<str>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// A member that leaves unclear how the answer comes, or whether it states its usage: `stream` or `stream_options` of another type
    /// than the API's (`"stream": 1`), or `stream` twice with different values. Or any that decides what the call runs and costs,
    /// with its name in another case (`Model`, `MAX_TOKENS`). Hosts differ in what they make of it.
    pub unclear: Option<&'static str>,
    /// Whether the caller asked for usage in a compatible stream (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Whether the answer comes at once and the model writes on (`background` of the Responses API, with any value but
    /// false and null): nothing that follows shows what it cost.
    pub background: bool,
    /// Whether a native request wants events that have new text alone (`incremental_output`); `None` where it says nothing.
    pub incremental_output: Option<bool>,
    /// How many answers the request wants (`n`), to each prompt where it has several. Default: 1.
    pub choices: u32,
    /// How many prompts it has: those of a list of `/completions`. Default: 1.
    pub prompts: u32,
    /// How many answers the provider writes in all: to each prompt as many as are wanted, or `best_of` where that is more. Default: 1.
    pub answers: u32,
    /// Tokens of the prompt: the estimate, corrected by the true sizes of earlier calls of its
    /// kind.
    pub input_tokens: u64,
    /// Tokens to reserve for the prompt: 15 % more than those, until its kind of call is
    /// calibrated.
    pub cautious_input_tokens: u64,
    /// The estimate itself, before any correction.
    pub estimated: Estimated,
    /// Tokens of texts in members that may be in the prompt or not: part of both sums above, and of no estimate.
    pub(crate) unread_tokens: u64,
    /// The most tokens that one answer may have, as the request itself limits it; `None` where it
    /// does not.
    pub output_ceiling: Option<u64>,
}

impl ModelCall {
    /// The most output tokens that the whole call may bring: the ceiling of one answer times the
    /// number of answers that are written.
    #[must_use]
    pub fn output_ceiling_of_all(&self) -> Option<u64> {
        self.output_ceiling
            .map(|one| one.saturating_mul(u64::from(self.answers.max(1))))
    }
}
