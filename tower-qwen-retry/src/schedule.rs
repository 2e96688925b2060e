use std::time::Duration;

use fastrand::Rng;
use tower_qwen_tokens::{Cause, PacedUntil, internal::clock::Instant};

use crate::{GiveUp, RetryPolicy, jitter::between};

// A server that says "in 3 ms" would otherwise be called in a hot loop. More than a second is never
// added: the server knows its limits better than our backoff does.
const MAX_BACKOFF_BESIDE_HINT: Duration = Duration::from_secs(1);

// Callers throttled at the same instant get the same hint; a quarter of it more, drawn at random,
// spreads them out. Less than 50 ms is within the noise of a network, so it would spread nobody.
// More than 5 s of a quota's minute would leave quota unused. Both are choices; the sum is bounded
// by a property test below.
const MIN_SPREAD: Duration = Duration::from_millis(50);
const MAX_SPREAD: Duration = Duration::from_secs(5);

// An Admission inside keeps its account closed for a sixtieth of the window at least, which is a
// second of a minute. A call that returns within a quarter of that is in the queue again before the
// account opens, so no quota is left unused.
const MIN_REQUEUE_WAIT: Duration = Duration::from_millis(50);
const MAX_REQUEUE_WAIT: Duration = Duration::from_millis(250);

/// A failure that may go away by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// The wait that the server asks for.
    pub(crate) hint: Option<Duration>,
    /// Set when an Admission inside has closed its account after this failure: it holds the retry
    /// until then.
    pub(crate) held_by_admission: Option<PacedUntil>,
    /// The longest wait that can be needed, where calls at one time are the cause.
    pub(crate) ceiling: Option<Duration>,
    /// Whether other calls of the model were throttled since this call was, the last time.
    pub(crate) is_shared: bool,
}

impl Failure {
    pub(crate) const fn of(cause: Cause) -> Self {
        Self {
            cause,
            hint: None,
            held_by_admission: None,
            ceiling: None,
            is_shared: false,
        }
    }

    /// Whether this failure says nothing about its call, so that patience bounds the wait instead of
    /// attempts.
    ///
    /// An Admission inside has to hold the retry. Then it is one of
    ///
    /// - a provider that is not available;
    /// - a throttle in an outage, when the provider rejects every call, or a rate throttle: if others
    ///   were throttled meanwhile, it is their load; so it is where the account has sent as much as
    ///   the provider grants, or where others wait for the provider too. A call that alone is throttled again and again is the cause itself, or
    ///   has nobody who would find out for it that the provider is back.
    fn is_of_others(&self) -> bool {
        let Some(held) = self.held_by_admission else {
            return false;
        };
        match self.cause {
            Cause::RequestRate | Cause::TokenRate | Cause::Growth | Cause::Throttled => {
                self.is_shared || held.shared
            }
            cause if cause.is_throttle() => held.outage && (self.is_shared || held.shared),
            _ => held.outage,
        }
    }
}

/// What the earlier attempts of a call mean for the next one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct History {
    /// Attempts that count towards [`RetryPolicy::max_attempts`].
    attempts: u32,
    /// The latest wait.
    wait: Duration,
    /// Whether an Admission inside held the latest retry.
    was_held_by_admission: bool,
    /// Since when failures say nothing about this call.
    uncounted_since: Option<Instant>,
    /// What the latest retry took out of the retry budget.
    charged: u32,
}

impl History {
    pub(crate) fn attempt_sent(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// The latest attempt was not sent.
    pub(crate) fn forget_attempt(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
    }

    /// What the latest retry took out of the retry budget.
    pub(crate) fn charged(&self) -> u32 {
        self.charged
    }

    /// What a success returns to the retry budget. Zero from the second call on.
    pub(crate) fn take_refund(&mut self) -> u32 {
        std::mem::take(&mut self.charged)
    }
}

/// A wait so short that no quota is left unused meanwhile.
pub(crate) fn requeue_wait(rng: &mut Rng) -> Duration {
    between(rng, MIN_REQUEUE_WAIT, MAX_REQUEUE_WAIT)
}

impl RetryPolicy {
    /// The wait before the next attempt, or why there is none.
    ///
    /// Charges the retry budget, unless an Admission inside holds the retry.
    pub(crate) fn next_wait(
        &self,
        failure: Failure,
        history: &mut History,
        now: Instant,
        deadline: Option<Instant>,
        rng: &mut Rng,
    ) -> Result<Duration, GiveUp> {
        // Only the latest retry can be refunded: the ones before it have failed.
        history.charged = 0;
        let held = failure.held_by_admission;
        let was_held = std::mem::replace(&mut history.was_held_by_admission, held.is_some());
        let is_of_others = failure.is_of_others();
        if is_of_others {
            history.attempts = history.attempts.saturating_sub(1);
        } else {
            history.uncounted_since = None;
        }
        if history.attempts >= self.max_attempts {
            return Err(GiveUp::Attempts);
        }
        if failure.hint.is_some_and(|hint| hint > self.max_retry_after) {
            return Err(GiveUp::RetryAfter);
        }
        let wait = match held {
            None => self.hint_or_backoff(failure, history, rng),
            Some(held) => {
                let requeue = requeue_wait(rng);
                // A call that is throttled twice in a row returns after the account has opened, so
                // that another call probes the provider. Otherwise a call that always fails would
                // hold up the queue (docs/design.md).
                if held.outage || was_held {
                    let closed = held.until.saturating_duration_since(now);
                    closed.saturating_add(requeue)
                } else {
                    requeue
                }
            }
        };
        // `None`: so far in the future that no instant can express it.
        let earliest = now.checked_add(wait).max(held.map(|held| held.until));
        let is_after = |end| earliest.is_none_or(|earliest| earliest > end);
        if deadline.is_some_and(is_after) {
            return Err(GiveUp::Deadline);
        }
        if is_of_others {
            let since = *history.uncounted_since.get_or_insert(now);
            if since.checked_add(self.patience).is_some_and(is_after) {
                return Err(GiveUp::Patience);
            }
        }
        // Last, so that a retry that is not made for another reason costs nothing.
        if held.is_none() {
            let cost = self.budget.cost(failure.cause);
            if !self.budget.withdraw(cost) {
                return Err(GiveUp::RetryBudget);
            }
            history.charged = cost;
        }
        history.wait = wait;
        Ok(wait)
    }

    fn hint_or_backoff(&self, failure: Failure, history: &History, rng: &mut Rng) -> Duration {
        let retries = history.attempts.saturating_sub(1);
        // Zero seconds says that the server does not know how long its throttle lasts, so backoff
        // decides.
        let hint = failure.hint.filter(|hint| !hint.is_zero());
        let cause = hint.map_or(failure.cause, |_| Cause::ServerError);
        let backoff = self.backoffs.of(cause).wait(retries, history.wait, rng);
        let Some(hint) = hint else {
            return failure
                .ceiling
                .map_or(backoff, |ceiling| backoff.min(ceiling));
        };
        let spread = (hint / 4).clamp(MIN_SPREAD, MAX_SPREAD);
        hint.max(backoff.min(MAX_BACKOFF_BESIDE_HINT))
            .saturating_add(between(rng, Duration::ZERO, spread))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};
    use tower_qwen_tokens::internal::clock::now;

    use super::*;
    use crate::{Backoff, RetryBudget};

    const THROTTLE: Failure = of(Cause::RequestRate);
    const ERROR: Failure = of(Cause::ServerError);

    const fn of(cause: Cause) -> Failure {
        Failure::of(cause)
    }

    fn hinted(hint: Duration) -> Failure {
        Failure {
            hint: Some(hint),
            ..THROTTLE
        }
    }

    fn after(attempts: u32) -> History {
        History {
            attempts,
            ..History::default()
        }
    }

    fn next(
        policy: &RetryPolicy,
        failure: Failure,
        attempts: u32,
        seed: u64,
    ) -> Result<Duration, GiveUp> {
        let rng = &mut Rng::with_seed(seed);
        policy.next_wait(failure, &mut after(attempts), now(), None, rng)
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn each_cause_waits_between_its_own_bounds() {
        let rows = [
            (Cause::RequestRate, 1_000, 8_000),
            (Cause::TokenRate, 5_000, 15_000),
            (Cause::Growth, 2_000, 10_000),
            (Cause::Concurrency, 500, 4_000),
            (Cause::Capacity, 500, 4_000),
            (Cause::Throttled, 1_000, 8_000),
            (Cause::Transport, 50, 500),
            (Cause::ServerError, 100, 500),
            (Cause::Timeout, 100, 500),
            (Cause::Unavailable, 100, 500),
        ];
        for (cause, least, first) in rows {
            let waits: Vec<_> = (0..400)
                .map(|seed| next(&RetryPolicy::default(), of(cause), 1, seed).expect("a retry"))
                .collect();
            let (low, high) = (ms(least), ms(first));
            assert!(
                waits.iter().all(|wait| (low..=high).contains(wait)),
                "{cause}"
            );
            let spread = (high - low) / 10;
            assert!(waits.iter().any(|wait| *wait < low + spread), "{cause}");
            assert!(waits.iter().any(|wait| *wait > high - spread), "{cause}");
        }
    }

    #[test]
    fn four_waits_after_throttles_take_a_minute_on_average() {
        let policy = RetryPolicy::default().budget(RetryBudget::new(0, 10_000));
        let all: Duration = (0..400)
            .flat_map(|seed| (1..5).map(move |attempt| (attempt, seed)))
            .map(|(attempt, seed)| {
                next(&policy, THROTTLE, attempt, seed * 7 + u64::from(attempt)).expect("a retry")
            })
            .sum();
        let mean = all / 400;
        assert!((ms(55_000)..=ms(65_000)).contains(&mean), "{mean:?}");
    }

    #[test]
    fn a_hint_of_zero_is_ignored() {
        let wait = next(&RetryPolicy::default(), hinted(Duration::ZERO), 1, 3).expect("a retry");
        assert!(wait >= ms(1_000));
    }

    #[test]
    fn a_hint_above_the_maximum_gives_up() {
        let policy = RetryPolicy::default();
        assert!(next(&policy, hinted(ms(120_000)), 1, 0).is_ok());
        let above = next(&policy, hinted(ms(120_001)), 1, 0);
        assert_eq!(above, Err(GiveUp::RetryAfter));
    }

    #[test]
    fn no_retry_after_the_last_attempt() {
        let policy = RetryPolicy::default();
        assert!(next(&policy, ERROR, 4, 0).is_ok());
        assert_eq!(next(&policy, ERROR, 5, 0), Err(GiveUp::Attempts));
    }

    #[test]
    fn no_retry_after_the_deadline() {
        let policy = RetryPolicy::default();
        let mut rng = Rng::with_seed(0);
        let (now, failure) = (now(), hinted(ms(1_000)));
        let mut until =
            |after_| policy.next_wait(failure, &mut after(1), now, Some(now + after_), &mut rng);
        assert_eq!(until(ms(999)), Err(GiveUp::Deadline));
        assert!(until(ms(1_250)).is_ok());
        let left = policy.budget.available();
        assert_eq!(left, 99, "a retry that is not made costs nothing");
    }

    #[test]
    fn a_retry_held_by_admission_returns_soon_and_is_free() {
        let policy = RetryPolicy::default().budget(RetryBudget::new(0, 0));
        let now = now();
        let held = Failure {
            held_by_admission: Some(PacedUntil::new(now + ms(30_000))),
            ..hinted(ms(30_000))
        };
        let mut rng = Rng::with_seed(0);
        let mut until = |deadline| policy.next_wait(held, &mut after(1), now, deadline, &mut rng);
        let wait = until(None).expect("a retry");
        assert!((ms(50)..=ms(250)).contains(&wait));
        assert_eq!(until(Some(now + ms(29_999))), Err(GiveUp::Deadline));
        assert!(until(Some(now + ms(30_000))).is_ok());
        assert_eq!(next(&policy, THROTTLE, 1, 0), Err(GiveUp::RetryBudget));

        let mut history = after(1);
        let mut again = || policy.next_wait(held, &mut history, now, None, &mut Rng::with_seed(0));
        assert!(again().expect("a retry") <= ms(250));
        let wait = again().expect("a retry");
        assert!(
            (ms(30_050)..=ms(30_250)).contains(&wait),
            "after the account has opened: {wait:?}"
        );
    }

    #[test]
    fn an_outage_is_bounded_by_patience_not_by_attempts() {
        let policy = RetryPolicy::default().patience(ms(60_000));
        let begin = now();
        let mut rng = Rng::with_seed(0);
        let mut history = after(4);
        let (mut at, mut attempts) = (begin, 0);
        let given_up = loop {
            history.attempt_sent();
            attempts += 1;
            let opens = PacedUntil::new(at + ms(2_000)).outage(true);
            let outage = Failure {
                held_by_admission: Some(opens),
                is_shared: true,
                ..THROTTLE
            };
            match policy.next_wait(outage, &mut history, at, None, &mut rng) {
                Ok(wait) => {
                    assert!(
                        (ms(2_050)..=ms(2_250)).contains(&wait),
                        "after the account has opened"
                    );
                    at += wait;
                }
                Err(why) => break why,
            }
        };
        assert_eq!(given_up, GiveUp::Patience);
        assert!((25..30).contains(&attempts), "{attempts}");
        assert!(at <= begin + ms(60_000));
        history.attempt_sent();
        let own = policy.next_wait(THROTTLE, &mut history, at, None, &mut rng);
        assert_eq!(
            own,
            Err(GiveUp::Attempts),
            "other failures count as attempts"
        );
    }

    #[test]
    fn a_failure_is_of_others_if_others_share_it() {
        let held = |outage| Some(PacedUntil::new(now()).outage(outage));
        let is_of_others = |cause, held_by_admission, is_shared| {
            let failure = Failure {
                held_by_admission,
                is_shared,
                ..of(cause)
            };
            failure.is_of_others()
        };
        for &cause in Cause::ALL {
            let is_throttle = cause.is_throttle();
            let is_rate = is_throttle && !matches!(cause, Cause::Concurrency | Cause::Capacity);
            assert!(!is_of_others(cause, None, true), "{cause}: nobody paces it");
            assert_eq!(is_of_others(cause, held(false), true), is_rate, "{cause}");
            assert!(!is_of_others(cause, held(false), false), "{cause}: alone");
            assert!(is_of_others(cause, held(true), true), "{cause}: an outage");
            assert_eq!(
                is_of_others(cause, held(true), false),
                !is_throttle,
                "{cause}"
            );
            // What the account knows of others is as good as what this policy has seen of them.
            for outage in [false, true] {
                let shared = held(outage).map(|held| held.shared(true));
                assert_eq!(
                    is_of_others(cause, shared, false),
                    is_of_others(cause, held(outage), true),
                    "{cause}"
                );
            }
        }
    }

    #[test]
    fn a_ceiling_bounds_the_backoff() {
        let full = Failure {
            ceiling: Some(ms(700)),
            ..of(Cause::Concurrency)
        };
        for seed in 0..100 {
            let wait = next(&RetryPolicy::default(), full, 4, seed).expect("a retry");
            assert!((ms(500)..=ms(700)).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn success_refunds_the_last_retry_once() {
        let policy = RetryPolicy::default();
        let (mut history, mut rng) = (after(1), Rng::with_seed(0));
        let mut fail = |history: &mut History, failure| {
            policy
                .next_wait(failure, history, now(), None, &mut rng)
                .expect("a retry")
        };
        fail(&mut history, ERROR);
        fail(&mut history, ERROR);
        assert_eq!(history.take_refund(), 2);
        assert_eq!(history.take_refund(), 0, "once");
        let held = Failure {
            held_by_admission: Some(PacedUntil::new(now())),
            ..THROTTLE
        };
        fail(&mut history, ERROR);
        fail(&mut history, held);
        assert_eq!(history.take_refund(), 0, "a free retry refunds nothing");
    }

    proptest! {
        #[test]
        fn a_wait_by_hint_is_at_least_the_hint_and_a_quarter_more_at_most(
            hint in 1u64..120_000, attempts in 1u32..5, seed: u64,
        ) {
            let wait = next(&RetryPolicy::default(), hinted(ms(hint)), attempts, seed).expect("a retry");
            let spread = ms(hint / 4 + 1).clamp(ms(50), ms(5_000));
            prop_assert!(wait >= ms(hint));
            prop_assert!(wait <= ms(hint).max(ms(1_000)) + spread);
        }

        #[test]
        fn extreme_values_do_not_overflow(hint: u64, attempts: u32, seed: u64, cap: u64) {
            let policy = RetryPolicy::default()
                .max_attempts(u32::MAX)
                .max_retry_after(Duration::from_secs(cap))
                .patience(Duration::MAX)
                .throttle_backoff(Backoff::new(Duration::MAX, Duration::MAX));
            let hint = Duration::from_secs(hint);
            if let Ok(wait) = next(&policy, hinted(hint), attempts, seed) {
                prop_assert!(wait >= hint);
            }
        }
    }
}
