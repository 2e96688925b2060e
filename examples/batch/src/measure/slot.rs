//! What happens to the calls of a model within a slot of time.

use tower_qwen_tokens::{Money, ledger::Record};

use super::Merge;

/// What happens to the calls of a model within a slot of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slot {
    /// Attempts that ended.
    pub attempts: u64,
    /// Of these, further attempts of a call.
    pub retries: u64,
    /// Of the attempts, those that were throttled.
    pub throttles: u64,
    /// Tokens of prompts.
    pub prompt: u64,
    /// Tokens of answers.
    pub output: u64,
    /// What the attempts cost, one amount for each currency.
    pub cost: Vec<Money>,
    /// Attempts that used something and have no known price.
    pub unpriced: u64,
    /// The share of the quota of requests that was in use.
    pub requests_share: Mean,
    /// The same of tokens.
    pub tokens_share: Mean,
}

/// The mean of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    samples: u64,
}

impl Slot {
    /// Adds an attempt that has ended.
    pub fn add(&mut self, record: &Record<'_>) {
        let entry = &*record.entry;
        self.attempts += 1;
        self.retries += u64::from(entry.attempt.is_some_and(|number| number > 1));
        self.throttles += u64::from(entry.cause.is_some_and(|cause| cause.is_throttle()));
        let usage = &entry.usage;
        let (prompt, output) = usage.input_and_output().unwrap_or_default();
        self.prompt = self.prompt.saturating_add(prompt);
        self.output = self.output.saturating_add(output);
        match record.cost {
            Some(cost) => cost.add_to(&mut self.cost),
            None => self.unpriced += u64::from(prompt > 0 || output > 0),
        }
    }

    /// Tokens of prompts and answers.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt.saturating_add(self.output)
    }
}

impl Merge for Slot {
    fn merge(&mut self, later: &Self) {
        self.attempts += later.attempts;
        self.retries += later.retries;
        self.throttles += later.throttles;
        self.prompt = self.prompt.saturating_add(later.prompt);
        self.output = self.output.saturating_add(later.output);
        for cost in &later.cost {
            cost.add_to(&mut self.cost);
        }
        self.unpriced += later.unpriced;
        self.requests_share.merge(&later.requests_share);
        self.tokens_share.merge(&later.tokens_share);
    }
}

impl Mean {
    /// Adds a sample.
    pub fn add(&mut self, sample: f64) {
        self.sum += sample;
        self.samples += 1;
    }

    /// The mean; `None` without a sample.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.sum / self.samples as f64)
    }
}

impl Merge for Mean {
    fn merge(&mut self, later: &Self) {
        self.sum += later.sum;
        self.samples += later.samples;
    }
}
