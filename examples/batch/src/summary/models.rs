//! What each model came to, with its waits and latencies.

use std::collections::BTreeMap;

use serde::Serialize;
use tower_qwen_tokens::Money;

use crate::measure::{ModelFigures, Percentiles, Times};

/// Waits and latencies: what so many percent of the calls do not exceed. Unit: seconds. `None` where no call has such a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latencies {
    /// For quota, and between attempts; of all calls that ended.
    pub wait_seconds: Option<Percentiles>,
    /// From the send to the first part of the answer; of streams.
    pub first_token_seconds: Option<Percentiles>,
    /// From when the call took its place in the queue to the end of its answer; of answered calls.
    pub total_seconds: Option<Percentiles>,
}

/// What a model came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSummary {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Of these, further attempts of a call.
    pub retries: u64,
    /// Of the attempts, those that were throttled.
    pub throttles: u64,
    /// Tokens of prompts, of all attempts.
    pub prompt_tokens: u64,
    /// Tokens of answers, of all attempts.
    pub output_tokens: u64,
    /// What it cost, one amount per currency, by the built-in prices.
    pub cost: Vec<Money>,
    /// Waits and latencies.
    #[serde(flatten)]
    pub latencies: Latencies,
}

impl Latencies {
    pub(super) fn of_all<'a>(models: impl Iterator<Item = &'a ModelFigures>) -> Self {
        let [mut wait, mut first_token, mut total] = [const { None::<Times> }; 3];
        for figures in models {
            for (sum, times) in [
                (&mut wait, &figures.wait),
                (&mut first_token, &figures.first_token),
                (&mut total, &figures.total),
            ] {
                sum.get_or_insert_default().merge(times);
            }
        }
        let percentiles = |times: Option<Times>| times?.percentiles();
        Self {
            wait_seconds: percentiles(wait),
            first_token_seconds: percentiles(first_token),
            total_seconds: percentiles(total),
        }
    }
}

impl ModelSummary {
    pub(super) fn of_all(measured: &BTreeMap<String, ModelFigures>) -> BTreeMap<String, Self> {
        let one = |(model, figures): (&String, &ModelFigures)| (model.clone(), Self::new(figures));
        measured.iter().map(one).collect()
    }

    fn new(figures: &ModelFigures) -> Self {
        let sum = figures.series.sum();
        Self {
            answered: figures.answered,
            failed: figures.failed,
            attempts: sum.attempts,
            retries: sum.retries,
            throttles: sum.throttles,
            prompt_tokens: sum.prompt,
            output_tokens: sum.output,
            cost: sum.cost,
            latencies: Latencies::of_all(std::iter::once(figures)),
        }
    }
}
