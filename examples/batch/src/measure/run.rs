//! Where the figures of a run come together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tower_qwen_ratelimit::AccountSnapshot;
use tower_qwen_tokens::ledger::{End, LedgerSink, Record};

use crate::call::CallTimes;

use super::ModelFigures;

/// Models that are measured apart. An input may name any number of them, and each takes some 100 KB.
const MOST_MODELS: usize = 32;

/// The name of all other models together.
pub const OTHERS: &str = "(other)";

/// The figures of a run by model. Clones share them.
///
/// As a sink of the ledger it gets each attempt; calls and accounts are added by who sees them.
#[derive(Debug, Clone)]
pub struct Measure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    began: SystemTime,
    // A leaf of the lock order: nothing is locked inside of it.
    models: Mutex<BTreeMap<String, ModelFigures>>,
}

impl Measure {
    /// Begins now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a report says at what time of day the run began"
    )]
    pub fn start() -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            began: SystemTime::now(),
            models: Mutex::default(),
        }))
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> SystemTime {
        self.0.began
    }

    /// The figures so far, by model.
    #[must_use]
    pub fn models(&self) -> BTreeMap<String, ModelFigures> {
        self.lock().clone()
    }

    /// A call has ended. One that never had a request has no times.
    pub fn call(&self, model: &str, times: Option<CallTimes>, is_success: bool) {
        let mut models = self.lock();
        let figures = of_model(&mut models, model);
        if let Some(times) = times {
            figures.wait.record(times.wait);
            if is_success {
                figures.total.record(times.total);
            }
        }
        match is_success {
            true => figures.answered += 1,
            false => figures.failed += 1,
        }
    }

    /// Takes down how much of each quota is in use now. `window` is that of a model.
    pub fn sample(&self, accounts: &[AccountSnapshot], window: impl Fn(&str) -> Duration) {
        // A model may have several accounts: together they are what may be used of it.
        let mut in_use: BTreeMap<&str, [Used; 2]> = BTreeMap::new();
        for account in accounts {
            let [requests, tokens] = in_use.entry(account.key.model()).or_default();
            requests.add(account.requests.used, account.requests.believed);
            tokens.add(account.tokens.used, account.tokens.believed);
        }
        let now = self.0.start.elapsed();
        let mut models = self.lock();
        for (model, [requests, tokens]) in in_use {
            let slot = of_model(&mut models, model).series.at(now);
            let passed = now.as_secs_f64() / window(model).as_secs_f64();
            if let Some(share) = requests.share(passed) {
                slot.requests_share.add(share);
            }
            if let Some(share) = tokens.share(passed) {
                slot.tokens_share.add(share);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ModelFigures>> {
        let models = &self.0.models;
        models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerSink for Measure {
    fn record(&self, record: &Record<'_>) {
        let entry = &*record.entry;
        let now = self.0.start.elapsed();
        let mut models = self.lock();
        let figures = of_model(&mut models, &entry.model);
        if let Some(first_token) = entry.first_token
            && entry.end == End::Complete
            && entry.cause.is_none()
        {
            figures.first_token.record(first_token);
        }
        figures.series.at(now).add(record);
    }
}

/// What is used of a quota.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    used: u64,
    granted: u64,
}

impl Used {
    fn add(&mut self, used: u64, granted: u64) {
        self.used = self.used.saturating_add(used);
        self.granted = self.granted.saturating_add(granted);
    }

    /// Of what is granted in a window; in the first one, of which so much has passed, of what is granted in that time. `None`
    /// where there is no limit.
    fn share(self, passed: f64) -> Option<f64> {
        let has_limit = (1..u64::MAX).contains(&self.granted);
        let share = self.used as f64 / self.granted as f64;
        // Whoever sends all at once uses all there is, and not many times that.
        let of_passed = (share / passed.clamp(f64::MIN_POSITIVE, 1.0)).min(1.0);
        has_limit.then(|| share.max(of_passed))
    }
}

fn of_model<'a>(
    models: &'a mut BTreeMap<String, ModelFigures>,
    model: &str,
) -> &'a mut ModelFigures {
    let has_room = models.len() < MOST_MODELS || models.contains_key(model);
    let model = if has_room { model } else { OTHERS };
    if !models.contains_key(model) {
        models.insert(model.to_owned(), ModelFigures::default());
    }
    models
        .get_mut(model)
        .expect("inserted where it was missing")
}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::{
        Cause, Ledger, Usage,
        ledger::{Basis, Entry},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_come_from_the_ledger_and_models_without_number_are_one() {
        let measure = Measure::start();
        let ledger = Ledger::default().with_sink(Arc::new(measure.clone()));
        let mut throttled = Entry::unanswered("qwen-plus", End::Complete);
        throttled.cause = Some(Cause::RequestRate);
        throttled.attempt = Some(1);
        ledger.record(&throttled);
        tokio::time::advance(Duration::from_secs(100)).await;
        let usage = Usage::new(1_000, 200);
        let mut answered = Entry::new("qwen-plus", usage, Basis::Reported, End::Complete);
        answered.attempt = Some(2);
        answered.first_token = Some(Duration::from_millis(300));
        ledger.record(&answered);
        for number in 0..1_000 {
            measure.call(&format!("m{number}"), None, false);
        }

        let models = measure.models();
        assert_eq!(models.len(), MOST_MODELS + 1);
        assert_eq!(models[OTHERS].failed, 1_000 - (MOST_MODELS as u64 - 1));
        let plus = &models["qwen-plus"];
        let sum = plus.series.sum();
        assert_eq!((sum.attempts, sum.retries, sum.throttles), (2, 1, 1));
        assert_eq!((sum.prompt, sum.output, sum.unpriced), (1_000, 200, 0));
        assert_eq!(sum.cost, ledger.snapshot().total.cost);
        assert_eq!(plus.first_token.count(), 1);
        let halves: Vec<_> = plus.series.groups(2).map(|(.., slot)| slot).collect();
        assert_eq!((halves[0].throttles, halves[1].throttles), (1, 0));
    }

    #[test]
    fn a_share_is_of_all_accounts_of_a_model_and_none_of_no_limit() {
        let mut one = Used::default();
        assert_eq!(one.share(2.0), None);
        one.add(30, 100);
        one.add(20, 100);
        assert_eq!(one.share(2.0), Some(0.25));
        for (passed, share) in [(0.5, 0.5), (0.25, 1.0), (0.1, 1.0), (0.0, 1.0)] {
            assert_eq!(one.share(passed), Some(share));
        }
        one.add(200, 0);
        assert_eq!(one.share(0.5), Some(1.25), "more than there is shows");
        one.add(20, u64::MAX);
        assert_eq!(one.share(2.0), None);
    }
}
