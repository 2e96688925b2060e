use std::{collections::BTreeMap, time::Duration};

use mock_qwen::Stats;
use serde::Serialize;
use tower_qwen_ratelimit::{AccountSnapshot, Quota};
use tower_qwen_tokens::{Money, ledger::Totals};

use crate::{
    accounts::AccountUse, advice::Target, counts::Counts, end_rules::Ended, failures::FailureKind,
    measure::ModelFigures, model_quotas::FoundQuotas, tally::Attempts,
};

use super::{
    Latencies, Learned, ModelSummary, QuotaOfModel, QuotaUse,
    quota::{all, learned, share},
};

/// Kinds of failure that are shown.
const TOP_FAILURES: usize = 3;

/// Sentences that are shown: an input may name any number of models.
const MOST_ADVICE: usize = 5;

/// What a run came to. Its JSON and its table say the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Whom the calls went to.
    pub provider: String,
    /// Whether the run was stopped before its end.
    pub stopped: bool,
    /// Why the run ended before its input, if it did by itself: `key`, `address`, `model`, `max_cost`, ...
    pub ended: Option<&'static str>,
    /// What to do about that, and about models that cannot be called: a sentence each.
    pub advice: Vec<String>,
    /// What became of the calls.
    pub calls: Calls,
    /// The most frequent failures.
    pub failures: Vec<FailureKind>,
    /// Requests that went out, retried ones counted again.
    pub attempts: u64,
    /// Throttles in all, and by cause.
    pub throttles: Throttles,
    /// Tokens of all attempts.
    pub tokens: Tokens,
    /// What it cost, one amount per currency, by the built-in prices.
    pub cost: Vec<Money>,
    /// Attempts for which no price is known; they are missing from `cost`.
    pub unpriced: u64,
    /// From the first call to the end of the last. Unit: seconds.
    pub duration_seconds: f64,
    /// Waits and latencies of all models together.
    #[serde(flatten)]
    pub latencies: Latencies,
    /// What each model came to; the first 32, all others together under `(other)`.
    pub models: BTreeMap<String, ModelSummary>,
    /// The quotas of all models together, and how much of what they allowed in that time was used.
    pub quota: QuotaUse,
    /// What was used at each account, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountUse>,
    /// The quota of each model, and where it is from.
    pub quotas: Vec<QuotaOfModel>,
    /// What the provider is believed to grant in a window, where that is not the quota: to be given as `--rpm` and
    /// `--tpm` next time.
    pub learned: Vec<Learned>,
    /// What the provider itself counted; only for the built-in mock.
    pub provider_view: Option<ProviderView>,
}

/// What became of the calls of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Answered in this run.
    pub succeeded: u64,
    /// Failed in this run.
    pub failed: u64,
    /// Of these, by the code of their error.
    pub failed_by: BTreeMap<String, u64>,
    /// Answered in an earlier run.
    pub answered_before: u64,
    /// Lines that are no calls.
    pub bad_lines: u64,
    /// Taken up and not sent: the run ended, or their model or path cannot be called.
    pub not_sent: u64,
}

/// Throttles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Throttles {
    /// All.
    pub total: u64,
    /// By cause.
    pub by_cause: BTreeMap<&'static str, u64>,
}

/// Tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of prompts.
    pub prompt: u64,
    /// Of answers.
    pub output: u64,
    /// Of prompts, read from a cache.
    pub cached: u64,
    /// Of answers, reasoning.
    pub reasoning: u64,
}

/// What the provider counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProviderView {
    /// Requests that arrived.
    pub seen: u64,
    /// Requests that it throttled.
    pub throttled: u64,
    /// Requests that it answered to the end.
    pub completed: u64,
}

/// What a summary is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Whom the calls went to.
    pub provider: String,
    /// What became of the calls.
    pub counts: &'a Counts,
    /// What went out.
    pub attempts: Attempts,
    /// What the ledger holds.
    pub totals: Totals,
    /// The quota of models that have no other.
    pub quota: Quota,
    /// The quotas of the models.
    pub quotas: &'a FoundQuotas,
    /// The accounts at the end.
    pub accounts: &'a [AccountSnapshot],
    /// What was used at each account, where there are several.
    pub used: Vec<AccountUse>,
    /// From the first call to the end of the last.
    pub duration: Duration,
    /// Whom the calls went to, and with what.
    pub target: &'a Target,
    /// What was measured, by model.
    pub measured: &'a BTreeMap<String, ModelFigures>,
    /// What the mock has seen.
    pub stats: Option<Stats>,
}

impl Summary {
    /// Sums a run up.
    #[must_use]
    pub fn new(facts: Facts<'_>) -> Self {
        let Facts {
            counts,
            totals,
            duration,
            quotas,
            ..
        } = facts;
        let quota = all(quotas).unwrap_or(facts.quota);
        let windows = duration.as_secs_f64() / quota.window_length().as_secs_f64();
        let used = totals.input_tokens.saturating_add(totals.output_tokens);
        Self {
            provider: facts.provider,
            stopped: counts.stopped,
            ended: counts.ended.as_ref().map(Ended::as_str),
            advice: advice(counts, facts.target),
            failures: counts.failures.top(TOP_FAILURES),
            calls: Calls {
                succeeded: counts.succeeded,
                failed: counts.failed,
                failed_by: counts.failed_by.clone(),
                answered_before: counts.answered_before,
                bad_lines: counts.bad_lines,
                not_sent: counts.not_sent,
            },
            attempts: facts.attempts.sent,
            throttles: Throttles {
                total: facts.attempts.throttled(),
                by_cause: facts.attempts.throttles,
            },
            tokens: Tokens {
                prompt: totals.input_tokens,
                output: totals.output_tokens,
                cached: totals.cached_tokens,
                reasoning: totals.reasoning_tokens,
            },
            cost: totals.cost,
            unpriced: totals.unpriced_calls,
            duration_seconds: duration.as_secs_f64(),
            latencies: Latencies::of_all(facts.measured.values()),
            models: ModelSummary::of_all(facts.measured),
            quota: QuotaUse {
                requests: quota.requests(),
                tokens: quota.tokens(),
                window_seconds: quota.window_length().as_secs_f64(),
                requests_share: share(facts.attempts.sent, quota.requests(), windows),
                tokens_share: share(used, quota.tokens(), windows),
            },
            accounts: facts.used,
            quotas: quotas.iter().map(QuotaOfModel::new).collect(),
            learned: facts
                .accounts
                .iter()
                .filter_map(|account| {
                    let key = &account.key;
                    let found = quotas.get(&(key.model().to_owned(), key.account().to_owned()));
                    learned(account, found.map_or(facts.quota, |found| found.quota))
                })
                .collect(),
            provider_view: facts.stats.map(|stats| ProviderView {
                seen: stats.seen,
                throttled: stats.throttled.total(),
                completed: stats.completed,
            }),
        }
    }

    /// Whether some call of the input has no answer, other than by a stop.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.calls.failed > 0 || self.calls.bad_lines > 0 || self.calls.not_sent > 0
    }
}

/// What to do about the reason of the end, and about models and paths that cannot be called.
fn advice(counts: &Counts, target: &Target) -> Vec<String> {
    let ended = counts.ended.as_ref();
    let closed = counts
        .closed
        .iter()
        .filter(|fatal| !matches!(ended, Some(Ended::Fatal(of_all)) if of_all == *fatal));
    let ended = ended.map(|ended| ended.advice(target));
    let closed = closed.map(|fatal| fatal.advice(target));
    ended.into_iter().chain(closed).take(MOST_ADVICE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_the_time_allowed() {
        let counts = Counts {
            failed: 1,
            failed_by: BTreeMap::from([("deadline".to_owned(), 1)]),
            stopped: true,
            ..Counts::default()
        };
        let target = Target::remote("http://h", None);
        let no_quotas = BTreeMap::new();
        let measured = BTreeMap::new();
        let facts = |duration| Facts {
            provider: "p".to_owned(),
            counts: &counts,
            attempts: Attempts {
                sent: 50,
                throttles: BTreeMap::from([("growth", 2), ("request_rate", 1)]),
            },
            totals: Totals::default(),
            quota: Quota::per_minute(100, 1_000),
            quotas: &no_quotas,
            accounts: &[],
            used: Vec::new(),
            duration,
            target: &target,
            measured: &measured,
            stats: None,
        };
        let summary = Summary::new(facts(Duration::from_secs(120)));
        assert!((summary.quota.requests_share - 0.25).abs() < 1e-9);
        assert!(summary.has_failures() && summary.stopped);
        assert_eq!(summary.throttles.total, 3);
        let table = summary.to_string();
        assert!(table.contains("3 (growth 2, request_rate 1)"), "{table}");
        assert!(table.contains("1 (deadline 1)") && table.contains("run again to go on"));
        let at_once = Summary::new(facts(Duration::ZERO));
        assert!(
            at_once.quota.requests_share.abs() < 1e-9,
            "no time, no share"
        );
    }
}
