use serde::Deserialize;
use serde_json::Value;

use super::{
    Book, Origin,
    section::{BoxError, Section},
    without_latest_or_date,
};

/// How much a model takes in one interaction. Unit: tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// Prompt and answer together.
    pub context: u64,
    /// The longest prompt, where it is bounded by itself.
    pub max_input: Option<u64>,
    /// The longest answer, reasoning apart; `None`: as the context allows.
    pub max_output: Option<u64>,
    /// The longest reasoning; `None`: the model does not reason apart from its answer, or nothing is known.
    pub max_reasoning: Option<u64>,
}

/// The context windows of models.
pub type WindowBook = Book<Window>;

/// A row of a window, as it is written.
#[derive(Deserialize)]
#[serde(remote = "Window", deny_unknown_fields)]
struct WindowRow {
    context: u64,
    max_input: Option<u64>,
    max_output: Option<u64>,
    max_reasoning: Option<u64>,
}

impl Window {
    /// A window that only bounds prompt and answer together.
    #[must_use]
    pub const fn new(context: u64) -> Self {
        Self {
            context,
            max_input: None,
            max_output: None,
            max_reasoning: None,
        }
    }

    /// Bounds the prompt. Default: as the context allows.
    #[must_use]
    pub const fn max_input(mut self, tokens: u64) -> Self {
        self.max_input = Some(tokens);
        self
    }

    /// Bounds the answer, reasoning apart. Default: as the context allows.
    #[must_use]
    pub const fn max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// Allows reasoning beside the answer. Default: none.
    #[must_use]
    pub const fn max_reasoning(mut self, tokens: u64) -> Self {
        self.max_reasoning = Some(tokens);
        self
    }

    /// The most that answer and reasoning together may have after a prompt of this many tokens; `None` where the prompt
    /// itself is too long.
    #[must_use]
    pub fn room(&self, input_tokens: u64) -> Option<u64> {
        if self.max_input.is_some_and(|most| input_tokens > most) {
            return None;
        }
        // `None` also where the prompt alone is longer than the context.
        let left = self.context.checked_sub(input_tokens)?;
        let answer = self
            .max_output
            .map(|most| most.saturating_add(self.max_reasoning.unwrap_or(0)));
        Some(answer.map_or(left, |most| most.min(left)))
    }
}

impl Book<Window> {
    /// The window of a model; `None` where it is unknown.
    #[must_use]
    pub fn window(&self, model: &str) -> Option<&Window> {
        self.get(model)
    }
}

impl Section for Window {
    const NAME: &'static str = "window";
    const BUILTIN: &'static str = include_str!("../../data/windows.json");

    fn stable_id(model: &str) -> Option<&str> {
        without_latest_or_date(model)
    }

    fn read(row: Value, _: &Origin) -> Result<Self, BoxError> {
        let window = WindowRow::deserialize(row)?;
        let parts = [window.max_input, window.max_output, window.max_reasoning];
        if window.context == 0 || parts.contains(&Some(0)) {
            return Err("a window holds at least one token".into());
        }
        if parts
            .into_iter()
            .flatten()
            .any(|part| part > window.context)
        {
            return Err("no part of a window is larger than its context".into());
        }
        Ok(window)
    }
}
