//! What a run came to, as a table and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use mock_qwen::Stats;
use serde::Serialize;
use tower_qwen_ratelimit::{AccountSnapshot, Quota};
use tower_qwen_tokens::{Money, ledger::Totals};

use crate::{
    accounts::AccountUse,
    advice::Target,
    counts::Counts,
    end_rules::Ended,
    failures::FailureKind,
    model_quotas::FoundQuotas,
    quota_source::{FoundQuota, QuotaOrigin},
    table::Table,
    tally::Attempts,
    words,
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

/// The quota and its use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct QuotaUse {
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
    /// Unit: seconds.
    pub window_seconds: f64,
    /// Share of the requests that was used, 1 being all that the quota allows in the time the run took.
    pub requests_share: f64,
    /// Likewise of the tokens.
    pub tokens_share: f64,
}

/// The quota of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuotaOfModel {
    /// The model.
    pub model: String,
    /// The account, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Where the quota is from.
    pub origin: QuotaOrigin,
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
    /// Unit: seconds.
    pub window_seconds: f64,
}

/// What was learned of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// The model.
    pub model: String,
    /// The account, where there are several.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// Requests per window.
    pub requests: u64,
    /// Tokens per window.
    pub tokens: u64,
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

impl QuotaOfModel {
    fn new(((model, account), found): (&(String, String), &FoundQuota)) -> Self {
        Self {
            model: model.clone(),
            account: account.clone(),
            origin: found.origin,
            requests: found.quota.requests(),
            tokens: found.quota.tokens(),
            window_seconds: found.quota.window_length().as_secs_f64(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = &self.calls;
        let mut table = Table::default();
        table.row("provider", &self.provider);
        table.row("calls answered", calls.succeeded);
        table.row("calls failed", with_parts(calls.failed, &calls.failed_by));
        table.row_unless_zero("answered before", calls.answered_before);
        table.row_unless_zero("bad lines", calls.bad_lines);
        table.row_unless_zero("not sent", calls.not_sent);
        table.row("attempts", self.attempts);
        table.row(
            "throttles",
            with_parts(self.throttles.total, &self.throttles.by_cause),
        );
        table.row("prompt tokens", self.tokens.prompt);
        table.row("output tokens", self.tokens.output);
        table.row("cached tokens", self.tokens.cached);
        table.row_unless_zero("reasoning tokens", self.tokens.reasoning);
        table.row("cost", words::money(&self.cost));
        table.row_unless_zero("attempts without a price", self.unpriced);
        for account in &self.accounts {
            table.row(format!("account {}", account.name), account);
        }
        let duration = Duration::try_from_secs_f64(self.duration_seconds).unwrap_or_default();
        table.row("duration", words::duration(duration));
        let QuotaUse { window_seconds, .. } = self.quota;
        for (name, amount, share) in [
            (
                "quota of requests used",
                self.quota.requests,
                self.quota.requests_share,
            ),
            (
                "quota of tokens used",
                self.quota.tokens,
                self.quota.tokens_share,
            ),
        ] {
            match amount {
                u64::MAX => table.row(name, "there is no limit"),
                _ => table.row(
                    name,
                    format!("{:.1} % of {amount} per {window_seconds} s", share * 100.0),
                ),
            }
        }
        for Learned {
            model,
            account,
            requests,
            tokens,
        } in &self.learned
        {
            table.row(
                "quota learned",
                match account.as_str() {
                    "" => format!("{model}: {requests} requests, {tokens} tokens"),
                    name => format!("{model} at {name}: {requests} requests, {tokens} tokens"),
                },
            );
        }
        if let Some(view) = &self.provider_view {
            table.row(
                "seen by the provider",
                format!("{} requests, {} throttled", view.seen, view.throttled),
            );
        }
        match self.ended {
            _ if self.stopped => table.row("stopped", "run again to go on"),
            Some(reason) => table.row("ended early", reason),
            None => {}
        }
        fmt::Display::fmt(&table, f)?;
        if !self.failures.is_empty() {
            f.write_str("\nMost frequent failures:")?;
        }
        self.failures
            .iter()
            .try_for_each(|kind| write!(f, "\n- {kind}"))
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

fn with_parts<K: fmt::Display>(total: u64, parts: &BTreeMap<K, u64>) -> String {
    if parts.is_empty() {
        return total.to_string();
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|(part, count)| format!("{part} {count}"))
        .collect();
    format!("{total} ({})", parts.join(", "))
}

fn learned(account: &AccountSnapshot, quota: Quota) -> Option<Learned> {
    let (requests, tokens) = (account.requests.believed, account.tokens.believed);
    let is_known = (requests, tokens) == (quota.requests(), quota.tokens());
    (!is_known).then(|| Learned {
        model: account.key.model().to_owned(),
        account: account.key.account().to_owned(),
        requests,
        tokens,
    })
}

/// What all models may use together, over the longest of their windows; `None` where there is none.
fn all(quotas: &FoundQuotas) -> Option<Quota> {
    let window = quotas
        .values()
        .map(|found| found.quota.window_length())
        .max()?;
    let sum = |amount: fn(&Quota) -> u64| {
        quotas.values().fold(0_u64, |sum, found| {
            let times = window.as_secs_f64() / found.quota.window_length().as_secs_f64();
            // No limit of one model is none of all; the cast stays at the highest number.
            sum.saturating_add((amount(&found.quota) as f64 * times).round() as u64)
        })
    };
    Some(Quota::per_minute(sum(Quota::requests), sum(Quota::tokens)).window(window))
}

fn share(used: u64, allowed: u64, windows: f64) -> f64 {
    let allowed = allowed as f64 * windows;
    if allowed > 0.0 {
        used as f64 / allowed
    } else {
        0.0
    }
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
