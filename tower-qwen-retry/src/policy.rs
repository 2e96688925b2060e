use std::{error::Error, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName};
use tower_qwen_tokens::{
    Cause, Verdict,
    classify::{ClassifyOptions, FirstEvent},
    internal::{header::X_STAINLESS_RETRY_COUNT, opaque_debug},
};

use crate::{
    Backoff, Fallback, RetryBudget, RetryObserver,
    backoffs::Backoffs,
    classify_error::transient_cause,
    jitter::Seeds,
    observe::Observers,
    pool::{Members, Pool},
    throttle_counts::ThrottleCounts,
};

/// What is retried, how often and after which wait.
///
/// Clones share the [`RetryBudget`]. All defaults are in the table of the [crate
/// docs](crate#defaults).
#[derive(Clone)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) backoffs: Backoffs,
    pub(crate) max_retry_after: Duration,
    pub(crate) patience: Duration,
    pub(crate) budget: RetryBudget,
    pub(crate) seeds: Seeds,
    pub(crate) classify_options: ClassifyOptions,
    pub(crate) marker: Option<HeaderName>,
    /// The members of the pool come first.
    pub(crate) fallbacks: Vec<Fallback>,
    pub(crate) members: Option<Members>,
    pub(crate) cool_down: Duration,
    pub(crate) observers: Observers,
    pub(crate) throttles: Arc<ThrottleCounts>,
    rule: Option<Arc<ErrorRule>>,
}

type ErrorRule = dyn Fn(&(dyn Error + 'static)) -> Option<bool> + Send + Sync;

impl RetryPolicy {
    /// How often a call is sent, the first attempt included. Default: 5. Zero counts as 1: no
    /// retry.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The waits after a failure of this cause, if the server names none.
    ///
    /// | cause | least | before the first retry, up to | at most |
    /// |---|---|---|---|
    /// | requests, unnamed throttles | 1 s | 8 s | 60 s |
    /// | capacity | 0.5 s | 4 s | 60 s |
    /// | tokens | 5 s | 15 s | 60 s |
    /// | growth | 2 s | 10 s | 60 s |
    /// | concurrency | 0.5 s | 4 s | 30 s |
    /// | broken connections | 0.05 s | 0.5 s | 8 s |
    /// | all others | 0.1 s | 0.5 s | 8 s |
    ///
    /// Quotas count by the minute: the four waits between the five attempts of a throttled call
    /// take one minute together on average. Not used if an Admission inside holds the retry (see
    /// the [module docs]). All causes of the last row share one backoff.
    ///
    /// [module docs]: crate::retry#throttles
    pub fn backoff(mut self, cause: Cause, backoff: Backoff) -> Self {
        *self.backoffs.of_mut(cause) = backoff;
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
    /// The caller gets an answer that asks for more without a wait: nobody wants to sleep until
    /// tomorrow's quota. The wait is in the answer's [`Verdict`].
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.max_retry_after = longest;
        self
    }

    /// How long a call waits in an outage, when the provider rejects every call, while Admission
    /// probes whether the provider accepts calls again
    /// ([`PacedUntil::outage`](tower_qwen_tokens::PacedUntil)). Default: 120 s.
    ///
    /// Failures in an outage say nothing about the call and do not count as attempts, so this, or
    /// the call's deadline, ends the wait. So it does where others' load throttles a call that
    /// Admission paces ([module docs](crate::retry#throttles)). It counts from the call's first such
    /// failure. Calls that Admission has not sent are not affected: they wait in its queue.
    ///
    /// It is also the longest time for which a call waits while all of its targets
    /// [rest](crate::retry#cool-down).
    pub fn patience(mut self, longest: Duration) -> Self {
        self.patience = longest;
        self
    }

    /// The retry budget of all calls together. Default: 20 % of the calls, and a reserve of 100
    /// retries.
    ///
    /// The reserve is for a batch that is throttled as a whole when it starts. Retries that an
    /// Admission inside holds cost nothing: it sends them at the provider's rate.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Overrides the verdict on an answer; `None` leaves the built-in one. Default: no rule.
    ///
    /// Called for every error answer and every error at the beginning of a stream, once, by the
    /// innermost layer that classifies, so that an Admission inside uses the same verdict.
    ///
    /// ```
    /// use tower_qwen_retry::RetryPolicy;
    /// use tower_qwen_tokens::Cause;
    ///
    /// // A host with an error code that is not built in.
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

    /// Classifies an error of the inner service before the built-in rules do: `Some(true)` retries,
    /// `Some(false)` does not, `None` leaves it to them. Default: no rule.
    ///
    /// The rule gets the outermost error and may follow its chain of sources.
    pub fn retry_error<F>(mut self, rule: F) -> Self
    where
        F: Fn(&(dyn Error + 'static)) -> Option<bool> + Send + Sync + 'static,
    {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// How long a stream is held back for its first event. Default: 1 s, 64 KiB.
    ///
    /// The caller gets the answer's headers with the first event that has content, or when the time
    /// is up. A model that thinks first may take longer than that: then the caller gets the headers
    /// after 1 s, and any later error. A longer time lets more errors be retried; zero forwards
    /// streams unread.
    pub fn first_event(mut self, first: FirstEvent) -> Self {
        self.classify_options = self.classify_options.first_event(first);
        self
    }

    /// Whether a JSON answer whose status says success is held back until it shows that it is no error:
    /// 8 KiB at most, and only while no `choices`, `output`, `data`, `content` or `candidates` was seen
    /// ([`ClassifyOptions::json_errors`]). Default: yes.
    pub fn json_errors(mut self, hold: bool) -> Self {
        self.classify_options = self.classify_options.json_errors(hold);
        self
    }

    /// The header with the number of earlier attempts of this call; `None`: it is neither sent nor
    /// read. Default: `x-stainless-retry-count`, as OpenAI's clients send it.
    ///
    /// Every attempt but the first has it. A call that arrives with it (and a number above zero) is
    /// itself a retry, by a client or server further out, and is sent once: so the attempts of
    /// nested retriers add up instead of multiplying.
    pub fn marker(mut self, name: impl Into<Option<HeaderName>>) -> Self {
        self.marker = name.into();
        self
    }

    /// Adds another target, for calls that the targets before it cannot serve. Default: none.
    ///
    /// Targets are used in the order in which they were added, each with all attempts. In an
    /// Admission inside, each is admitted at an account of its own: another model, base URL or key
    /// makes one ([accounts](Fallback#accounts)). A target that failed rests, and calls skip it
    /// meanwhile ([cool-down](crate::retry#cool-down)).
    /// [`CallReport::target`](tower_qwen_tokens::CallReport::target) says which target answered.
    pub fn fallback(mut self, fallback: Fallback) -> Self {
        self.fallbacks.push(fallback);
        self
    }

    /// Several targets that share the load, the caller's own among them. Default: none.
    ///
    /// Each call goes to the member at which it would wait for the shortest time. After a failure that
    /// another member may not have, it goes there at once: a throttle, an error of the server, a bad
    /// key. The call has [`max_attempts`](Self::max_attempts) at all members together. Where all
    /// members rest, it waits for the first of them, for the length of [`patience`](Self::patience) at
    /// most.
    ///
    /// [`CallReport::target`](tower_qwen_tokens::CallReport::target) names the member that answered.
    /// [`fallback`](Self::fallback)s come after all members, for calls that no member can serve. A later
    /// pool replaces an earlier one.
    pub fn pool(mut self, pool: Pool) -> Self {
        let former = self.first_fallback();
        let count = pool.targets.len() + 1;
        drop(self.fallbacks.splice(..former, pool.targets));
        self.members = Some(Members {
            count,
            predictor: pool.predictor,
        });
        self
    }

    /// How long a target rests after two rejections in a row that lie in it and that waiting does not fix:
    /// a bad key, an account in arrears, an unknown model. Then one call tries it again, and so on after each
    /// such time. Default: 5 minutes. At most 30 minutes. Zero: nothing is remembered, of any failure.
    ///
    /// The other rests follow from the failure; see [cool-down](crate::retry#cool-down).
    pub fn cool_down(mut self, after_permanent: Duration) -> Self {
        self.cool_down = after_permanent;
        self
    }

    /// Adds an observer of attempts, retries and fallbacks. Default: none.
    ///
    /// ```
    /// use tower_qwen_retry::{RetryEvent, RetryPolicy};
    ///
    /// let policy = RetryPolicy::default().observe(|event: &RetryEvent<'_>| {
    ///     if let RetryEvent::Retry { model, cause, wait, .. } = event {
    ///         eprintln!("{model}: again in {wait:?}, after {cause}");
    ///     }
    /// });
    /// # let _ = policy;
    /// ```
    pub fn observe(mut self, observer: impl RetryObserver + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Draws the same jitter in every run, call by call, for tests. Default: other jitter in every
    /// run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeds = Seeds::seeded(seed);
        self
    }

    /// Why an error of the inner service may go away; `None` if it is permanent.
    pub(crate) fn cause(&self, error: &(dyn Error + 'static)) -> Option<Cause> {
        let known = transient_cause(error);
        match self.rule.as_ref().and_then(|rule| rule(error)) {
            // The user knows better, but a known cause still has the better backoff.
            Some(true) => known.or(Some(Cause::Transport)),
            Some(false) => None,
            None => known,
        }
    }

    /// The target with this number: 0 is the caller's own, which is no fallback, 1 the first fallback.
    pub(crate) fn target(&self, number: usize) -> Option<&Fallback> {
        let index = number.checked_sub(1)?;
        self.fallbacks.get(index)
    }

    /// The index of the first fallback that is no member of the pool.
    pub(crate) fn first_fallback(&self) -> usize {
        self.members.as_ref().map_or(0, |members| members.count - 1)
    }

    /// How to classify the answers to this kind of call; `None` if layers inside need not know.
    pub(crate) fn classify_options(&self, streams: bool) -> Option<&ClassifyOptions> {
        // Most calls need neither, and an extension of the request costs them two allocations.
        (streams && self.classify_options.holds_streams() || self.classify_options.has_rule())
            .then_some(&self.classify_options)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            // Four waits, with these backoffs, last as long as a quota's minute.
            max_attempts: 5,
            backoffs: Backoffs::default(),
            // Quotas per minute return within one; a longer wait is another kind of quota. Twice
            // that, to be safe.
            max_retry_after: Duration::from_secs(120),
            // As long as the longest wait that a server may ask for: in both cases a caller waits
            // for the provider.
            patience: Duration::from_secs(120),
            // 20 %, as tower and Finagle have it; the reserve lets a batch begin that is throttled
            // as a whole.
            budget: RetryBudget::new(20, 100),
            seeds: Seeds::random(),
            classify_options: ClassifyOptions::default()
                .first_event(FirstEvent::default())
                .json_errors(true),
            marker: Some(X_STAINLESS_RETRY_COUNT),
            fallbacks: Vec::new(),
            members: None,
            // A key that was paid for or replaced is in use again soon, and until then the probes cost
            // one rejected attempt of a call: twelve an hour.
            cool_down: Duration::from_secs(5 * 60),
            observers: Observers::default(),
            throttles: Arc::default(),
            rule: None,
        }
    }
}

opaque_debug!(
    RetryPolicy {
        max_attempts, backoffs, max_retry_after, patience, budget, classify_options, marker, fallbacks, members,
        cool_down, observers
    },
    impl std::fmt::Debug for RetryPolicy
);

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
        assert_eq!(policy.cool_down, Duration::from_secs(300));
        assert!(policy.members.is_none());
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
    fn members_come_before_fallbacks_and_a_later_pool_replaces_an_earlier_one() {
        let names = |policy: &RetryPolicy| {
            let names = policy.fallbacks.iter().map(|it| it.name.to_string());
            names.collect::<Vec<_>>()
        };
        let pool = |names: &[&str]| {
            let targets = names.iter().map(|name| Fallback::new(*name));
            targets.fold(Pool::new(), Pool::target)
        };
        let policy = RetryPolicy::default().fallback(Fallback::new("last"));
        let policy = policy.pool(pool(&["a", "b"]));
        assert_eq!(names(&policy), ["a", "b", "last"]);
        let policy = policy.pool(pool(&["c"]));
        assert_eq!(names(&policy), ["c", "last"]);
        assert_eq!(policy.members.map(|members| members.count), Some(2));
        let crowd: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let crowd: Vec<_> = crowd.iter().map(String::as_str).collect();
        let policy = RetryPolicy::default().pool(pool(&crowd));
        assert_eq!(policy.members.map(|members| members.count), Some(64));
    }

    #[test]
    fn zero_attempts_count_as_one() {
        assert_eq!(RetryPolicy::default().max_attempts(0).max_attempts, 1);
    }

    #[test]
    fn inner_layers_get_options_only_if_needed() {
        let unread = RetryPolicy::default().first_event(FirstEvent::within(Duration::ZERO));
        assert!(unread.classify_options(true).is_none());
        let ruled = unread.rule(|_, _| None);
        assert!(ruled.classify_options(true).is_some() && ruled.classify_options(false).is_some());
    }

    #[test]
    fn throttles_and_errors_are_set_apart() {
        let second = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let policy = RetryPolicy::default();
        let throttles = policy.clone().throttle_backoff(second);
        let errors = policy.error_backoff(second);
        for &cause in Cause::ALL {
            assert_eq!(throttles.backoffs.of(cause) == second, cause.is_throttle());
            assert_eq!(errors.backoffs.of(cause) == second, !cause.is_throttle());
        }
    }

    #[test]
    fn a_rule_for_errors_overrides_or_leaves_the_built_in_one() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let forbidden = io::Error::from(io::ErrorKind::PermissionDenied);
        let yes = Some(Cause::Transport);
        for (says, of_reset, of_forbidden) in [
            (None, yes, None),
            (Some(true), yes, yes),
            (Some(false), None, None),
        ] {
            let policy = RetryPolicy::default().retry_error(move |_| says);
            assert_eq!(policy.cause(&reset), of_reset, "{says:?}");
            assert_eq!(policy.cause(&forbidden), of_forbidden, "{says:?}");
        }
    }

    #[test]
    fn clones_share_the_budget() {
        let policy = RetryPolicy::default();
        assert!(policy.clone().budget.withdraw(1));
        assert_eq!(policy.budget.available(), 99);
    }
}
