use std::time::Duration;

use fastrand::Rng;
use tower_qwen_tokens::clock::Instant;

use crate::{RetryPolicy, jitter::between};

/// The most that own backoff adds up to beside a wait named by the server: it only keeps a hint of next to nothing from
/// becoming a hot loop.
const BESIDE_A_HINT: Duration = Duration::from_secs(1);

/// Callers that were told the same instant come back spread over a quarter of the wait, within these bounds.
const LEAST_SPREAD: Duration = Duration::from_millis(50);
const MOST_SPREAD: Duration = Duration::from_secs(5);

/// How long a retry stays away that an account inside holds until its time has come.
const PACED: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// A failure that may go away by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The wait that the server named.
    pub(crate) hint: Option<Duration>,
    /// Until when an account inside is closed because of it.
    pub(crate) paced: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Throttle,
    Error,
}

/// Why a failure that may go away is not retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    Attempts,
    RetryAfter,
    Deadline,
    Budget,
}

impl RetryPolicy {
    /// The wait before the next attempt, after `attempts` of them.
    ///
    /// Takes a retry out of the budget, unless an account inside paces it; does so last, when nothing else speaks
    /// against it.
    pub(crate) fn next_wait(
        &self,
        failure: Failure,
        attempts: u32,
        now: Instant,
        deadline: Option<Instant>,
        rng: &mut Rng,
    ) -> Result<Duration, GiveUp> {
        if attempts >= self.max_attempts {
            return Err(GiveUp::Attempts);
        }
        if failure.hint.is_some_and(|hint| hint > self.max_retry_after) {
            return Err(GiveUp::RetryAfter);
        }
        let wait = match failure.paced {
            Some(_) => between(rng, PACED.0, PACED.1),
            None => self.wait(failure, attempts.saturating_sub(1), rng),
        };
        let earliest = now.checked_add(wait).max(failure.paced);
        if deadline.is_some_and(|deadline| earliest.is_none_or(|earliest| earliest > deadline)) {
            return Err(GiveUp::Deadline);
        }
        if failure.paced.is_none() && !self.budget.withdraw() {
            return Err(GiveUp::Budget);
        }
        Ok(wait)
    }

    fn wait(&self, failure: Failure, retries: u32, rng: &mut Rng) -> Duration {
        // A server that asks for no wait at all has not told how long it takes.
        if let Some(hint) = failure.hint.filter(|hint| !hint.is_zero()) {
            let own = self.error_backoff.wait(retries, rng).min(BESIDE_A_HINT);
            let spread = (hint / 4).clamp(LEAST_SPREAD, MOST_SPREAD);
            return hint
                .max(own)
                .saturating_add(between(rng, Duration::ZERO, spread));
        }
        match failure.kind {
            Kind::Throttle => self.throttle_backoff.wait(retries, rng),
            Kind::Error => self.error_backoff.wait(retries, rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};
    use tower_qwen_tokens::clock::now;

    use super::*;
    use crate::Budget;

    const THROTTLE: Failure = Failure {
        kind: Kind::Throttle,
        hint: None,
        paced: None,
    };
    const ERROR: Failure = Failure {
        kind: Kind::Error,
        ..THROTTLE
    };

    fn hinted(hint: Duration) -> Failure {
        Failure {
            hint: Some(hint),
            ..THROTTLE
        }
    }

    fn next(
        policy: &RetryPolicy,
        failure: Failure,
        attempts: u32,
        seed: u64,
    ) -> Result<Duration, GiveUp> {
        policy.next_wait(failure, attempts, now(), None, &mut Rng::with_seed(seed))
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_throttle_is_never_retried_within_a_second_an_error_may_be() {
        let policy = RetryPolicy::default().budget(Budget::new(0, 10_000));
        let waits =
            |failure| (0..400).map(move |seed| next(&RetryPolicy::default(), failure, 1, seed));
        assert!(
            waits(THROTTLE)
                .all(|wait| (ms(1_000)..=ms(8_000)).contains(&wait.expect("first retry")))
        );
        assert!(waits(ERROR).all(|wait| wait.expect("first retry") <= ms(500)));
        assert!(waits(ERROR).any(|wait| wait.expect("first retry") < ms(100)));
        let waits_of_a_call: Duration = (0..400)
            .flat_map(|seed| (1..5).map(move |attempt| (attempt, seed)))
            .map(|(attempt, seed)| {
                next(&policy, THROTTLE, attempt, seed * 7 + u64::from(attempt)).expect("a retry")
            })
            .sum();
        let mean = waits_of_a_call / 400;
        assert!((ms(55_000)..=ms(65_000)).contains(&mean), "{mean:?}");
    }

    #[test]
    fn a_hint_of_nothing_is_no_hint() {
        let wait = next(&RetryPolicy::default(), hinted(Duration::ZERO), 1, 3).expect("a retry");
        assert!(wait >= ms(1_000));
    }

    #[test]
    fn a_hint_above_the_cap_gives_up_one_at_the_cap_does_not() {
        let policy = RetryPolicy::default();
        assert!(next(&policy, hinted(ms(120_000)), 1, 0).is_ok());
        assert_eq!(
            next(&policy, hinted(ms(120_001)), 1, 0),
            Err(GiveUp::RetryAfter)
        );
    }

    #[test]
    fn last_attempt_is_the_last() {
        let policy = RetryPolicy::default();
        assert!(next(&policy, ERROR, 4, 0).is_ok());
        assert_eq!(next(&policy, ERROR, 5, 0), Err(GiveUp::Attempts));
    }

    #[test]
    fn a_wait_that_would_pass_the_deadline_is_not_begun() {
        let policy = RetryPolicy::default();
        let mut rng = Rng::with_seed(0);
        let now = now();
        let mut until =
            |after| policy.next_wait(hinted(ms(1_000)), 1, now, Some(now + after), &mut rng);
        assert_eq!(until(ms(999)), Err(GiveUp::Deadline));
        assert!(until(ms(1_250)).is_ok());
        assert_eq!(
            policy.budget.available(),
            99,
            "a wait that was not begun costs nothing"
        );
    }

    #[test]
    fn a_paced_retry_stays_away_for_a_moment_and_costs_nothing() {
        let policy = RetryPolicy::default().budget(Budget::new(0, 0));
        let now = now();
        let paced = Failure {
            paced: Some(now + ms(30_000)),
            ..hinted(ms(30_000))
        };
        let mut rng = Rng::with_seed(0);
        let wait = policy
            .next_wait(paced, 1, now, None, &mut rng)
            .expect("free of charge");
        assert!((ms(50)..=ms(250)).contains(&wait));
        let mut until = |after| policy.next_wait(paced, 1, now, Some(now + after), &mut rng);
        assert_eq!(until(ms(29_999)), Err(GiveUp::Deadline));
        assert!(until(ms(30_000)).is_ok());
        assert_eq!(next(&policy, THROTTLE, 1, 0), Err(GiveUp::Budget));
    }

    proptest! {
        #[test]
        fn a_hinted_wait_is_never_short_and_hardly_longer(hint in 1u64..120_000, attempts in 1u32..5, seed: u64) {
            let wait = next(&RetryPolicy::default(), hinted(ms(hint)), attempts, seed).expect("a retry");
            let spread = ms(hint / 4 + 1).clamp(ms(50), ms(5_000));
            prop_assert!(wait >= ms(hint));
            prop_assert!(wait <= ms(hint).max(ms(1_000)) + spread);
        }

        #[test]
        fn no_values_overflow(hint: u64, attempts: u32, seed: u64, cap: u64) {
            let policy = RetryPolicy::default()
                .max_attempts(u32::MAX)
                .max_retry_after(Duration::from_secs(cap))
                .throttle_backoff(crate::Backoff::new(Duration::MAX, Duration::MAX));
            let hint = Duration::from_secs(hint);
            if let Ok(wait) = next(&policy, hinted(hint), attempts, seed) {
                prop_assert!(wait >= hint);
            }
        }
    }
}
