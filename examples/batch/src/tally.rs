//! What the attempts of a run came to.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tower_qwen_tokens::{OnUsage, Report, UsageSink};

/// Counts attempts, and throttles by cause. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: Arc<Mutex<Attempts>>,
}

/// The counts of a [`Tally`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Requests that went out.
    pub sent: u64,
    /// Answers and streams that were throttles, by cause.
    pub throttles: BTreeMap<&'static str, u64>,
}

struct Tap {
    tally: Tally,
    next: Option<UsageSink>,
}

impl Tally {
    /// The counts so far.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        self.with(|counts| counts.clone())
    }

    pub(crate) fn sent(&self) {
        self.with(|counts| counts.sent += 1);
    }

    /// A sink that counts what it hears and hands it on.
    pub(crate) fn tap(&self, next: Option<UsageSink>) -> UsageSink {
        UsageSink::new(Arc::new(Tap {
            tally: self.clone(),
            next,
        }))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Attempts) -> T) -> T {
        f(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Attempts {
    /// Throttles of all causes.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.throttles.values().sum()
    }
}

impl OnUsage for Tap {
    fn on_usage(&self, report: &Report) {
        if let Some(verdict) = report
            .verdict
            .as_ref()
            .filter(|verdict| verdict.is_throttle())
        {
            let cause = verdict.cause().as_str();
            self.tally
                .with(|counts| *counts.throttles.entry(cause).or_default() += 1);
        }
        if let Some(next) = &self.next {
            next.report(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tower_qwen_tokens::{Usage, Verdict};

    use super::*;

    #[derive(Default)]
    struct Heard(AtomicU64);

    impl OnUsage for Heard {
        fn on_usage(&self, _: &Report) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn throttles_are_counted_by_cause_and_every_report_handed_on() {
        let tally = Tally::default();
        let heard = Arc::new(Heard::default());
        let sink = tally.tap(Some(UsageSink::new(heard.clone())));
        let mut report = Report::reported(Usage::new(1, 1));
        sink.report(&report);
        for code in [
            "Throttling.RateQuota",
            "Throttling.RateQuota",
            "InvalidParameter",
        ] {
            let event = format!(r#"{{"code":"{code}","message":"m"}}"#);
            report.verdict = Verdict::of_event(event.as_bytes(), None);
            sink.report(&report);
        }
        tally.tap(None).report(&report);
        let attempts = tally.attempts();
        assert_eq!(attempts.throttles, BTreeMap::from([("request_rate", 2)]));
        assert_eq!((attempts.sent, attempts.throttled()), (0, 2));
        assert_eq!(heard.0.load(Ordering::Relaxed), 4);
    }
}
