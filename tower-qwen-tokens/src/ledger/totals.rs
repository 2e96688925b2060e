use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::{
    price::Money,
    usage::{Basis, End},
};

use super::{Entry, record};

/// The sums over a number of attempts. All counts saturate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Totals {
    /// All attempts.
    pub calls: u64,
    /// Of these: error answers, error events in streams, transport errors and broken bodies.
    pub failed: u64,
    /// Of these: dropped by the caller before the end, and not failed.
    pub cancelled: u64,
    /// All tokens of prompts.
    pub input_tokens: u64,
    /// Part of the input that was read from a cache.
    pub cached_tokens: u64,
    /// Part of the input that was written to a cache.
    pub cache_write_tokens: u64,
    /// All tokens of answers.
    pub output_tokens: u64,
    /// Part of the output that was reasoning.
    pub reasoning_tokens: u64,
    /// Attempts whose tokens were counted from what was delivered.
    pub estimated: u64,
    /// Attempts that may have used tokens of which nothing is known. Refusals by the provider are not among them.
    pub unknown: u64,
    /// What it cost, one amount per currency.
    pub cost: Vec<Money>,
    /// Attempts with known tokens for which no price is known; they are missing from `cost`.
    pub unpriced_calls: u64,
    /// How long the first part of a streamed answer took.
    pub first_token: Timing,
    /// How long whole attempts took.
    pub duration: Timing,
}

/// Durations, summed. Written as whole milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Timing {
    /// How many were measured.
    pub count: u64,
    /// Their sum.
    #[serde(rename = "sum_ms", serialize_with = "millis")]
    pub sum: Duration,
    /// The longest of them.
    #[serde(rename = "longest_ms", serialize_with = "millis")]
    pub longest: Duration,
}

impl Totals {
    /// Adds one attempt and what it cost.
    pub(super) fn add(&mut self, entry: &Entry, cost: Option<Money>) {
        bump(&mut self.calls, 1);
        if entry.is_error_answer() || entry.end == End::Failed {
            bump(&mut self.failed, 1);
        // An attempt that failed and was then dropped is a failure, not both.
        } else if entry.end == End::Cancelled {
            bump(&mut self.cancelled, 1);
        }
        let usage = &entry.usage;
        let tokens = usage.input_and_output();
        match entry.basis {
            Basis::Reported => {}
            Basis::NotSent => {}
            Basis::Estimated => bump(&mut self.estimated, 1),
            // The provider charges nothing for an error.
            Basis::Unknown if entry.is_error_answer() => {}
            Basis::Unknown => bump(&mut self.unknown, 1),
        }
        let (input, output) = tokens.unwrap_or_default();
        bump(&mut self.input_tokens, input);
        bump(&mut self.output_tokens, output);
        bump(&mut self.cached_tokens, usage.cached_tokens.unwrap_or(0));
        bump(
            &mut self.cache_write_tokens,
            usage.cache_write_tokens.unwrap_or(0),
        );
        bump(
            &mut self.reasoning_tokens,
            usage.reasoning_tokens.unwrap_or(0),
        );
        match cost {
            Some(cost) => cost.add_to(&mut self.cost),
            // Without tokens there is nothing to price.
            None if tokens.is_some() => bump(&mut self.unpriced_calls, 1),
            None => {}
        }
        self.first_token.add(entry.first_token);
        self.duration.add(entry.duration);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        bump(&mut self.calls, other.calls);
        bump(&mut self.failed, other.failed);
        bump(&mut self.cancelled, other.cancelled);
        bump(&mut self.input_tokens, other.input_tokens);
        bump(&mut self.cached_tokens, other.cached_tokens);
        bump(&mut self.cache_write_tokens, other.cache_write_tokens);
        bump(&mut self.output_tokens, other.output_tokens);
        bump(&mut self.reasoning_tokens, other.reasoning_tokens);
        bump(&mut self.estimated, other.estimated);
        bump(&mut self.unknown, other.unknown);
        for &cost in &other.cost {
            cost.add_to(&mut self.cost);
        }
        bump(&mut self.unpriced_calls, other.unpriced_calls);
        self.first_token.merge(&other.first_token);
        self.duration.merge(&other.duration);
    }
}

impl Timing {
    /// The mean; `None` where nothing was measured.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count))?;
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos))
    }

    fn add(&mut self, duration: Option<Duration>) {
        let Some(duration) = duration else { return };
        bump(&mut self.count, 1);
        self.sum = self.sum.saturating_add(duration);
        self.longest = self.longest.max(duration);
    }

    fn merge(&mut self, other: &Self) {
        bump(&mut self.count, other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.longest = self.longest.max(other.longest);
    }
}

fn bump(count: &mut u64, by: u64) {
    *count = count.saturating_add(by);
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(record::millis(*duration))
}
