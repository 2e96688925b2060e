use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use tower_qwen_tokens::{
    Cause, Verdict,
    classify::{ClassifyOptions, FirstEvent},
    internal::header::X_STAINLESS_RETRY_COUNT,
};

use crate::{
    Backoff, Fallback, RetryBudget, RetryObserver, jitter::Seeds, observe::Observers, transport,
    waits::Waits,
};

/// What is retried, how often and after which wait.
///
/// Cloning shares the [`RetryBudget`].
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) waits: Waits,
    pub(crate) max_retry_after: Duration,
    pub(crate) patience: Duration,
    pub(crate) budget: RetryBudget,
    pub(crate) seeds: Seeds,
    pub(crate) classify_options: ClassifyOptions,
    pub(crate) marker: Option<HeaderName>,
    pub(crate) fallbacks: Vec<Arc<Fallback>>,
    pub(crate) observers: Observers,
    rule: Option<Arc<ErrorRule>>,
}

type ErrorRule = dyn Fn(&(dyn Error + 'static)) -> Option<bool> + Send + Sync;

impl RetryPolicy {
    /// How often a call is sent in all, the first time included. Default: 5. Zero counts as 1: no retry.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The waits after failures of this cause for which the server named no wait.
    ///
    /// | cause | least | before the first retry, up to | at most |
    /// |---|---|---|---|
    /// | requests, capacity, unnamed throttles | 1 s | 8 s | 60 s |
    /// | tokens | 5 s | 15 s | 60 s |
    /// | growth | 2 s | 10 s | 60 s |
    /// | concurrency | 0.5 s | 4 s | 30 s |
    /// | broken connections | 0.05 s | 0.5 s | 8 s |
    /// | all others | 0.1 s | 0.5 s | 8 s |
    ///
    /// Quotas are counted by the minute, and recover within about a minute: the four waits of the five attempts of a
    /// throttled call take one minute together on average. Not used where the account inside paces the retry (see the
    /// [module page]). All causes of the last row share one backoff.
    ///
    /// [module page]: crate::retry#throttles
    pub fn backoff(mut self, cause: Cause, backoff: Backoff) -> Self {
        self.waits.set(cause, backoff);
        self
    }

    /// The same for every kind of throttle. Default: as [`backoff`](Self::backoff) lists them.
    pub fn throttle_backoff(self, backoff: Backoff) -> Self {
        let throttles = Cause::ALL.iter().filter(|cause| cause.is_throttle());
        throttles.fold(self, |policy, &cause| policy.backoff(cause, backoff))
    }

    /// The same for everything but throttles. Default: as [`backoff`](Self::backoff) lists them.
    pub fn error_backoff(self, backoff: Backoff) -> Self {
        self.backoff(Cause::ServerError, backoff)
            .backoff(Cause::Transport, backoff)
    }

    /// The longest wait that a server may ask for. Default: 120 s.
    ///
    /// An answer that asks for more goes back to the caller at once: a quota that returns tomorrow is no reason to
    /// sleep till then. The wait stands in its [`Verdict`].
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// How long a call waits for a provider that refuses whatever is sent, while the account inside feels its way
    /// ([`PacedUntil::outage`](tower_qwen_tokens::PacedUntil)). Default: 120 s.
    ///
    /// Such refusals say nothing of the call and are no attempts of its own, so not their number ends the wait but this,
    /// or the call's deadline. Calls that the account has not let go are not concerned: they wait in its queue.
    pub fn patience(mut self, longest: Duration) -> Self {
        self.patience = longest;
        self
    }

    /// Bounds the retries of all calls together. Default: 20 % of the calls, and a reserve of 100.
    ///
    /// The reserve lets a batch through that is throttled as a whole when it starts. Throttles that the account inside
    /// paces cost nothing: such retries are admitted at the provider's own rate.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Has the last word on answers: gives another verdict, or `None` to leave the built-in one. Default: none.
    ///
    /// It is asked about every error answer and every error at the beginning of a stream, once, by the first of the
    /// layers that can tell, so that an Admission inside goes by the same verdict.
    ///
    /// ```
    /// use tower_qwen_retry::RetryPolicy;
    /// use tower_qwen_tokens::Cause;
    ///
    /// // A host that says so in its own words.
    /// let policy = RetryPolicy::default().rule(|verdict, _headers| {
    ///     (verdict.code() == Some("E1742")).then(|| verdict.clone().with_cause(Cause::TokenRate))
    /// });
    /// # let _ = policy;
    /// ```
    pub fn rule<F>(mut self, rule: F) -> Self
    where
        F: Fn(&Verdict, &HeaderMap) -> Option<Verdict> + Send + Sync + 'static,
    {
        self.classify_options = self.classify_options.rule(rule);
        self
    }

    /// Classifies errors of the inner service before the built-in rules do: `Some(true)` retries, `Some(false)` does not,
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

    /// How long a stream is held back for its first event. Default: one second, 64 KiB.
    ///
    /// The answer's headers reach the caller when the first event with content has come, or the time is up. A model that
    /// thinks before it answers may take longer than that to its first event: then the headers come after a second, as
    /// they would have come without, and an error after that is the caller's. A longer time catches more; zero lets
    /// streams pass unread.
    pub fn first_event(mut self, first: FirstEvent) -> Self {
        self.classify_options = self.classify_options.first_event(first);
        self
    }

    /// The header that tells further servers how often this call was retried already; `None`: none is sent or heeded.
    /// Default: `x-stainless-retry-count`, as OpenAI's clients have it.
    ///
    /// It goes on every attempt but the first. A call that arrives with it (and a number above zero) is itself the retry
    /// of somebody further out, and is sent once: nested retriers add up their attempts instead of multiplying them.
    pub fn marker(mut self, name: impl Into<Option<HeaderName>>) -> Self {
        self.marker = name.into();
        self
    }

    /// Adds another target, for calls that the ones before it cannot serve. Default: none.
    ///
    /// Targets are taken in the order in which they were added, each from the first attempt on, and each is admitted at an
    /// account of its own where an Admission stands inside. Who answered stands in [`Attempts`](crate::Attempts).
    pub fn fallback(mut self, fallback: Fallback) -> Self {
        self.fallbacks.push(Arc::new(fallback));
        self
    }

    /// Adds somebody who hears of attempts and retries. Default: nobody.
    pub fn observe(mut self, observer: impl RetryObserver + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Draws the same jitter in every run, call by call. Default: differs from run to run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeds = Seeds::seeded(seed);
        self
    }

    /// Why an error of the inner service may go away; `None` where it may not.
    pub(crate) fn cause(&self, error: &(dyn Error + 'static)) -> Option<Cause> {
        let known = transport::cause(error);
        match self.rule.as_ref().and_then(|rule| rule(error)) {
            Some(true) => known.or(Some(Cause::Transport)),
            Some(false) => None,
            None => known,
        }
    }

    /// How long an answer to this kind of call is held back, and by which rules it is classified; `None` where the layers
    /// inside need not know.
    pub(crate) fn classify_options(&self, streams: bool) -> Option<&ClassifyOptions> {
        (streams && self.classify_options.holds_streams() || self.classify_options.has_rule())
            .then_some(&self.classify_options)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            waits: Waits::default(),
            max_retry_after: Duration::from_secs(120),
            patience: Duration::from_secs(120),
            budget: RetryBudget::new(20, 100),
            seeds: Seeds::random(),
            classify_options: ClassifyOptions::default().first_event(FirstEvent::default()),
            marker: Some(X_STAINLESS_RETRY_COUNT),
            fallbacks: Vec::new(),
            observers: Observers::default(),
            rule: None,
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_attempts", &self.max_attempts)
            .field("waits", &self.waits)
            .field("max_retry_after", &self.max_retry_after)
            .field("patience", &self.patience)
            .field("budget", &self.budget)
            .field("classify_options", &self.classify_options)
            .field("marker", &self.marker)
            .field("fallbacks", &self.fallbacks)
            .field("observers", &self.observers)
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
        assert_eq!(policy.max_retry_after, Duration::from_secs(120));
        assert_eq!(policy.patience, Duration::from_secs(120));
        assert_eq!(policy.budget.available(), 100);
        let budget = format!("{:?}", policy.budget);
        assert!(budget.contains("percent: 20") && budget.contains("error_cost: 2"));
        assert_eq!(policy.marker, Some(X_STAINLESS_RETRY_COUNT));
        assert!(policy.fallbacks.is_empty() && policy.observers.is_empty());
        let options = format!("{:?}", policy.classify_options(true));
        assert!(options.contains("wait: 1s, bytes: 65536"), "{options}");
        assert!(policy.classify_options(false).is_none());
    }

    #[test]
    fn no_attempts_at_all_count_as_one() {
        assert_eq!(RetryPolicy::default().max_attempts(0).max_attempts, 1);
    }

    #[test]
    fn layers_inside_hear_what_they_need_to() {
        let unread = RetryPolicy::default().first_event(FirstEvent::within(Duration::ZERO));
        assert!(unread.classify_options(true).is_none());
        let ruled = unread.rule(|_, _| None);
        assert!(ruled.classify_options(true).is_some() && ruled.classify_options(false).is_some());
    }

    #[test]
    fn backoffs_of_all_throttles_and_of_all_others() {
        let second = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let policy = RetryPolicy::default();
        let throttles = policy.clone().throttle_backoff(second);
        let errors = policy.error_backoff(second);
        for &cause in Cause::ALL {
            assert_eq!(throttles.waits.of(cause) == &second, cause.is_throttle());
            assert_eq!(errors.waits.of(cause) == &second, !cause.is_throttle());
        }
    }

    #[test]
    fn rule_goes_before_the_built_in_ones_and_may_abstain() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let yes = Some(Cause::Transport);
        for (says, of_reset, of_denied) in [
            (None, yes, None),
            (Some(true), yes, yes),
            (Some(false), None, None),
        ] {
            let policy = RetryPolicy::default().retry_error(move |_| says);
            assert_eq!(policy.cause(&reset), of_reset, "{says:?}");
            assert_eq!(policy.cause(&denied), of_denied, "{says:?}");
        }
    }

    #[test]
    fn clones_share_the_budget() {
        let policy = RetryPolicy::default();
        assert!(policy.clone().budget.withdraw(1));
        assert_eq!(policy.budget.available(), 99);
    }
}
