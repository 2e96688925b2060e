use std::sync::Arc;

use crate::{
    Dialect,
    call::{ModelCall, counting::Counting},
    estimate::{Estimate, TOOLS_FRAME, Tally, chat_frame},
    protocol::{preserves_thinking_by_default, thinks_by_default},
};

/// What one pass over the body collects: figures and flags, nothing of the prompt.
#[derive(Default)]
pub(super) struct Draft<'e> {
    /// The user's own counter.
    pub(super) counter: Option<&'e dyn Estimate>,
    pub(super) model: Option<Arc<str>>,
    /// Whether it has the member, with any value.
    pub(super) names_model: bool,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) background: bool,
    pub(super) n: Option<u64>,
    pub(super) best_of: Option<u64>,
    pub(super) max_tokens: Option<u64>,
    /// A ceiling that holds thinking too.
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) thinking: Option<bool>,
    pub(super) thinking_budget: Option<u64>,
    pub(super) messages: u64,
    /// Texts, images and the like.
    pub(super) prompt: Tally,
    /// Earlier thinking, which only counts where the request preserves it.
    pub(super) thoughts: Tally,
    pub(super) preserve_thinking: Option<bool>,
    pub(super) has_tools: bool,
}

impl Draft<'_> {
    pub(super) fn finish(mut self, dialect: Dialect, counting: &Counting) -> ModelCall {
        self.add_frame(dialect);
        let estimated = self.prompt.finish();
        let output_ceiling = self.output_ceiling(dialect);
        let choices = self.choices(dialect);
        let model = self.model.unwrap_or_else(|| Arc::from(""));
        let calibration = &counting.calibration;
        let [input_tokens, cautious_input_tokens] =
            calibration.likely_and_cautious(&model, estimated);
        ModelCall {
            dialect,
            output_ceiling,
            input_tokens,
            cautious_input_tokens,
            estimated,
            model,
            stream: self.stream,
            include_usage: self.include_usage,
            background: self.background && dialect == Dialect::Responses,
            choices,
        }
    }

    /// How many answers the provider writes. One that it does not give back costs as much.
    fn choices(&self, dialect: Dialect) -> u32 {
        // A request for 0 answers is invalid; 1 keeps every product with it sensible.
        let of_prompt = self.n.max(self.best_of).unwrap_or(1).max(1);
        let prompts = match dialect {
            Dialect::Completions => self.messages.max(1),
            _ => 1,
        };
        u32::try_from(of_prompt.saturating_mul(prompts)).unwrap_or(u32::MAX)
    }

    /// Adds what the chat template puts around the texts.
    fn add_frame(&mut self, dialect: Dialect) {
        match dialect {
            // Their text goes into the model as it is, without a chat template.
            Dialect::Completions | Dialect::Embeddings | Dialect::NativeEmbeddings => {}
            _ => self.prompt.add(chat_frame(self.messages)),
        }
        if self.has_tools {
            self.prompt.add(TOOLS_FRAME);
        }
        // The model decides where the request says nothing.
        let by_default = || {
            let model = self.model.as_deref();
            model.is_some_and(preserves_thinking_by_default)
        };
        if self.preserve_thinking.unwrap_or_else(by_default) {
            self.prompt.add(self.thoughts.tokens());
        }
    }

    fn output_ceiling(&self, dialect: Dialect) -> Option<u64> {
        if dialect.is_embedding() {
            // Vectors are not counted as output tokens.
            return Some(0);
        }
        // It holds the thinking too, so it bounds the answer whatever is said about thinking.
        if self.max_completion_tokens.is_some() {
            return self.max_completion_tokens;
        }
        let by_default = || self.model.as_deref().is_some_and(thinks_by_default);
        match (self.thinking, self.thinking_budget) {
            // Anthropic's ceiling holds the thinking too.
            _ if dialect == Dialect::Anthropic => self.max_tokens,
            (None, None) if by_default() => None,
            (Some(false), _) | (None, None) => self.max_tokens,
            (_, Some(budget)) => self.max_tokens.map(|answer| answer.saturating_add(budget)),
            // `max_tokens` bounds the answer alone, and nothing bounds the thinking.
            (Some(true), None) => None,
        }
    }
}
