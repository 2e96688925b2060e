use std::sync::Arc;

use super::stated::Stated;
use crate::{
    Dialect,
    call::{ModelCall, counting::Counting},
    estimate::{Estimate, TOOLS_FRAME, Tally, chat_frame},
    protocol::{preserves_thinking_by_default, thinks_by_default},
};

/// Of text that may be in the prompt or not, and is not worth a closer look.
const BYTES_PER_TOKEN: u64 = 4;

/// What one pass over the body collects: figures and flags, nothing of the prompt.
#[derive(Default)]
pub(super) struct Draft<'e> {
    /// The user's own counter.
    pub(super) counter: Option<&'e dyn Estimate>,
    pub(super) model: Option<Arc<str>>,
    /// Whether it has the member, with any value.
    pub(super) names_model: bool,
    pub(super) stream: Option<bool>,
    /// Whether hosts may differ in what they make of `stream`.
    pub(super) is_stream_unclear: bool,
    /// The member whose name stands there in another case of its letters.
    pub(super) other_case: Option<&'static str>,
    /// The member of which hosts may differ in whether it asks for usage.
    pub(super) unclear_usage: Option<&'static str>,
    pub(super) include_usage: bool,
    pub(super) background: bool,
    pub(super) incremental_output: Option<bool>,
    pub(super) n: Option<u64>,
    pub(super) best_of: Option<u64>,
    /// A ceiling of the answer.
    pub(super) answer_ceiling: Stated,
    /// A ceiling that holds thinking too.
    pub(super) whole_ceiling: Stated,
    pub(super) thinking: Option<bool>,
    pub(super) thinking_budget: Stated,
    pub(super) messages: u64,
    /// Texts, images and the like.
    pub(super) prompt: Tally,
    /// Earlier thinking, which only counts where the request preserves it.
    pub(super) thoughts: Tally,
    pub(super) preserve_thinking: Option<bool>,
    /// Texts of members that may be in the prompt or not. Unit: bytes.
    pub(super) unread: u64,
    pub(super) has_tools: bool,
}

impl Draft<'_> {
    pub(super) fn finish(mut self, dialect: Dialect, counting: &Counting) -> ModelCall {
        self.add_frame(dialect);
        let unread_tokens = self.unread.div_ceil(BYTES_PER_TOKEN);
        let estimated = self.prompt.finish();
        let output_ceiling = self.output_ceiling(dialect);
        let choices = at_least_one(self.n.unwrap_or(1));
        let prompts = match dialect {
            Dialect::Completions => at_least_one(self.messages),
            _ => 1,
        };
        let stream = self.stream.unwrap_or(false);
        let unclear_stream = self.is_stream_unclear.then_some("stream");
        let model = self.model.unwrap_or_else(|| Arc::from(""));
        let calibration = &counting.calibration;
        let [input_tokens, cautious_input_tokens] = calibration
            .likely_and_cautious(&model, estimated)
            .map(|tokens| tokens.saturating_add(unread_tokens));
        ModelCall {
            dialect,
            output_ceiling,
            input_tokens,
            cautious_input_tokens,
            estimated,
            unread_tokens,
            model,
            stream,
            unclear: (self.other_case)
                .or(unclear_stream)
                .or(self.unclear_usage.filter(|_| stream)),
            include_usage: self.include_usage,
            background: self.background && dialect == Dialect::Responses,
            incremental_output: self.incremental_output,
            choices,
            prompts,
            answers: choices
                .max(at_least_one(self.best_of.unwrap_or(1)))
                .saturating_mul(prompts),
        }
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
        } else if self.preserve_thinking.is_none() {
            // Templates of many hosts keep the latest.
            self.unread = self.unread.saturating_add(self.thoughts.bytes());
        }
    }

    fn output_ceiling(&self, dialect: Dialect) -> Option<u64> {
        if dialect.is_embedding() {
            // Vectors are not counted as output tokens.
            return Some(0);
        }
        let (answer, whole) = (self.answer_ceiling, self.whole_ceiling);
        if answer.is_doubtful() || whole.is_doubtful() {
            return None;
        }
        if dialect == Dialect::Anthropic {
            return self.ceiling_with_thoughts(answer.number()?);
        }
        let thoughts = self.most_thoughts();
        match (answer.number(), whole.number()) {
            (Some(answer), None) => Some(answer.saturating_add(thoughts?)),
            // Which of both a host takes is not known.
            (Some(answer), Some(whole)) => {
                Some(whole.max(answer.saturating_add(thoughts.unwrap_or(0))))
            }
            (None, whole) => whole,
        }
    }

    /// The most thoughts that a model may have beside the answer that `max_tokens` bounds; `None` without bound.
    fn most_thoughts(&self) -> Option<u64> {
        let by_default = || self.model.as_deref().is_some_and(thinks_by_default);
        match (self.thinking, self.thinking_budget.has_number()) {
            (None, false) if by_default() => None,
            (Some(false), _) | (None, false) => Some(0),
            (Some(true), false) => None,
            (_, true) => self.thinking_budget.number(),
        }
    }

    /// Anthropic's ceiling holds the thoughts too, so their budget is below it. Where it is not, a host counts them apart.
    fn ceiling_with_thoughts(&self, ceiling: u64) -> Option<u64> {
        if self.thinking == Some(false) || !self.thinking_budget.has_number() {
            return Some(ceiling);
        }
        let budget = self.thinking_budget.number()?;
        let beside = Some(budget).filter(|&budget| budget > ceiling);
        Some(ceiling.saturating_add(beside.unwrap_or(0)))
    }
}

/// A request for 0 answers is invalid; 1 keeps every product with it sensible.
fn at_least_one(number: u64) -> u32 {
    u32::try_from(number.max(1)).unwrap_or(u32::MAX)
}
