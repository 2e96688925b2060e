//! What a call is charged.

use tower_qwen_tokens::{Call, call::ModelCall};

/// What a call is going to cost, as far as is known before it. Each call also costs one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Tokens of the prompt, estimated.
    pub input_tokens: u64,
    /// The answer.
    pub output: Output,
}

/// What the answer may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// No tokens: embeddings, or no model call at all.
    #[default]
    Nothing,
    /// At most so many tokens, all answers together.
    AtMost(u64),
    /// The call sets itself no bound.
    Unbounded,
}

impl Cost {
    /// One request without tokens.
    #[must_use]
    pub const fn request() -> Self {
        Self {
            input_tokens: 0,
            output: Output::Nothing,
        }
    }

    /// One request with this prompt and answer.
    #[must_use]
    pub const fn new(input_tokens: u64, output: Output) -> Self {
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
            Output::Nothing
        } else {
            call.output_ceiling_of_all()
                .map_or(Output::Unbounded, Output::AtMost)
        };
        Self::new(call.cautious_input_tokens, output)
    }
}
