use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::{Backoff, Budget, jitter::Seeds, transport};

/// What is retried, how often and after which wait.
///
/// Cloning shares the [`Budget`].
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) throttle_backoff: Backoff,
    pub(crate) error_backoff: Backoff,
    pub(crate) max_retry_after: Duration,
    pub(crate) budget: Budget,
    pub(crate) seeds: Seeds,
    rule: Option<Arc<ErrorRule>>,
}

type ErrorRule = dyn Fn(&(dyn Error + 'static)) -> Option<bool> + Send + Sync;

impl RetryPolicy {
    /// How often a call is sent in all, the first time included. Default: 5. Zero counts as 1: no retry.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The waits after throttles for which the server named no wait. Default: 1 s at least, up to 8 s before the first
    /// retry, doubling up to 60 s.
    ///
    /// Quotas are counted by the minute, and recover within about a minute: the four waits of the five attempts take
    /// one minute together on average. Not used where the account inside paces the retry (see the [module page]).
    ///
    /// [module page]: crate::retry#throttles
    pub fn throttle_backoff(mut self, backoff: Backoff) -> Self {
        self.throttle_backoff = backoff;
        self
    }

    /// The waits after server and transport errors. Default: up to 0.5 s before the first retry, doubling up to 8 s.
    pub fn error_backoff(mut self, backoff: Backoff) -> Self {
        self.error_backoff = backoff;
        self
    }

    /// The longest wait that a server may ask for. Default: 120 s.
    ///
    /// An answer that asks for more goes back to the caller at once: a quota that returns tomorrow is no reason to
    /// sleep till then.
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// Bounds the retries of all calls together. Default: 20 % of the calls, and a reserve of 100.
    ///
    /// The reserve lets a batch through that is throttled as a whole when it starts. Throttles that the account inside
    /// paces cost nothing: such retries are admitted at the provider's own rate.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Judges errors of the inner service before the built-in rules do: `Some(true)` retries, `Some(false)` does not,
    /// `None` leaves it to them. Default: none.
    ///
    /// The rule is given the outermost error and may follow its chain of sources.
    pub fn retry_error<F>(mut self, rule: F) -> Self
    where
        F: Fn(&(dyn Error + 'static)) -> Option<bool> + Send + Sync + 'static,
    {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Draws the same jitter in every run, call by call. Default: differs from run to run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeds = Seeds::seeded(seed);
        self
    }

    pub(crate) fn is_transient(&self, error: &(dyn Error + 'static)) -> bool {
        let by_rule = self.rule.as_ref().and_then(|rule| rule(error));
        by_rule.unwrap_or_else(|| transport::is_transient(error))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            throttle_backoff: Backoff::new(Duration::from_secs(8), Duration::from_secs(60))
                .at_least(Duration::from_secs(1)),
            error_backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(8)),
            max_retry_after: Duration::from_secs(120),
            budget: Budget::new(20, 100),
            seeds: Seeds::random(),
            rule: None,
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_attempts", &self.max_attempts)
            .field("throttle_backoff", &self.throttle_backoff)
            .field("error_backoff", &self.error_backoff)
            .field("max_retry_after", &self.max_retry_after)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn defaults_are_as_documented() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.max_attempts, 5);
        let throttles = Backoff::new(Duration::from_secs(8), Duration::from_secs(60));
        assert_eq!(
            policy.throttle_backoff,
            throttles.at_least(Duration::from_secs(1))
        );
        let errors = Backoff::new(Duration::from_millis(500), Duration::from_secs(8));
        assert_eq!(policy.error_backoff, errors);
        assert_eq!(policy.max_retry_after, Duration::from_secs(120));
        assert_eq!(policy.budget.available(), 100);
        assert!(format!("{:?}", policy.budget).contains("percent: 20"));
    }

    #[test]
    fn no_attempts_at_all_count_as_one() {
        assert_eq!(RetryPolicy::default().max_attempts(0).max_attempts, 1);
    }

    #[test]
    fn rule_goes_before_the_built_in_ones_and_may_abstain() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let rows = [
            (None, true, false),
            (Some(true), true, true),
            (Some(false), false, false),
        ];
        for (verdict, of_reset, of_denied) in rows {
            let policy = RetryPolicy::default().retry_error(move |_| verdict);
            assert_eq!(policy.is_transient(&reset), of_reset, "{verdict:?}");
            assert_eq!(policy.is_transient(&denied), of_denied, "{verdict:?}");
        }
    }

    #[test]
    fn clones_share_the_budget() {
        let policy = RetryPolicy::default();
        assert!(policy.clone().budget.withdraw());
        assert_eq!(policy.budget.available(), 99);
    }
}
