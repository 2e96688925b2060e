//! What a call is charged.

use tower_qwen_tokens::{Call, call::ModelCall};

/// What a call is going to cost, as far as is known before it. Each call also costs one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Tokens of the prompt, estimated.
    pub input_tokens: u64,
    /// The answer.
    pub output: OutputLimit,
}

/// What the answer may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLimit {
    /// No tokens: embeddings, or no model call at all.
    #[default]
    NoOutput,
    /// At most so many tokens, all answers together.
    AtMost(u64),
    /// The call sets itself no bound.
    Unlimited,
}

impl Cost {
    /// One request without tokens.
    #[must_use]
    pub const fn request() -> Self {
        Self {
            input_tokens: 0,
            output: OutputLimit::NoOutput,
        }
    }

    /// One request with this prompt and answer.
    #[must_use]
    pub const fn new(input_tokens: u64, output: OutputLimit) -> Self {
        Self {
            input_tokens,
            output,
        }
    }

    /// The cost of a call as it was read.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        call.model_call()
            .map_or(Self::request(), Self::of_model_call)
    }

    fn of_model_call(call: &ModelCall) -> Self {
        let output = if call.dialect.is_embedding() {
            OutputLimit::NoOutput
        } else {
            call.output_ceiling_of_all()
                .map_or(OutputLimit::Unlimited, OutputLimit::AtMost)
        };
        Self::new(call.cautious_input_tokens, output)
    }
}
