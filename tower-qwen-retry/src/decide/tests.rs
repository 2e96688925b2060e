use proptest::prelude::{prop_assert, proptest};
use tower_qwen_tokens::internal::clock::now;

use super::*;
use crate::{Backoff, RetryBudget};

const THROTTLE: Failure = of(Cause::RequestRate);
const ERROR: Failure = of(Cause::ServerError);

const fn of(cause: Cause) -> Failure {
    Failure {
        cause,
        hint: None,
        paced: None,
    }
}

fn hinted(hint: Duration) -> Failure {
    Failure {
        hint: Some(hint),
        ..THROTTLE
    }
}

fn after(attempts: u32) -> Past {
    Past {
        attempts,
        ..Past::default()
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
fn every_cause_waits_within_its_own_bounds() {
    let rows = [
        (Cause::RequestRate, 1_000, 8_000),
        (Cause::TokenRate, 5_000, 15_000),
        (Cause::Growth, 2_000, 10_000),
        (Cause::Concurrency, 500, 4_000),
        (Cause::Capacity, 1_000, 8_000),
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
fn the_waits_of_a_throttled_call_take_a_minute() {
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
fn a_hint_of_nothing_is_no_hint() {
    let wait = next(&RetryPolicy::default(), hinted(Duration::ZERO), 1, 3).expect("a retry");
    assert!(wait >= ms(1_000));
}

#[test]
fn a_hint_above_the_cap_gives_up_one_at_the_cap_does_not() {
    let policy = RetryPolicy::default();
    assert!(next(&policy, hinted(ms(120_000)), 1, 0).is_ok());
    let above = next(&policy, hinted(ms(120_001)), 1, 0);
    assert_eq!(above, Err(GiveUp::RetryAfter));
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
    let (now, failure) = (now(), hinted(ms(1_000)));
    let mut until =
        |after_| policy.next_wait(failure, &mut after(1), now, Some(now + after_), &mut rng);
    assert_eq!(until(ms(999)), Err(GiveUp::Deadline));
    assert!(until(ms(1_250)).is_ok());
    let left = policy.budget.available();
    assert_eq!(left, 99, "a wait that was not begun costs nothing");
}

#[test]
fn a_paced_retry_stays_away_for_a_moment_and_costs_nothing() {
    let policy = RetryPolicy::default().budget(RetryBudget::new(0, 0));
    let now = now();
    let paced = Failure {
        paced: Some(PacedUntil::new(now + ms(30_000))),
        ..hinted(ms(30_000))
    };
    let mut rng = Rng::with_seed(0);
    let mut until = |deadline| policy.next_wait(paced, &mut after(1), now, deadline, &mut rng);
    let wait = until(None).expect("free of charge");
    assert!((ms(50)..=ms(250)).contains(&wait));
    assert_eq!(until(Some(now + ms(29_999))), Err(GiveUp::Deadline));
    assert!(until(Some(now + ms(30_000))).is_ok());
    assert_eq!(next(&policy, THROTTLE, 1, 0), Err(GiveUp::RetryBudget));

    let mut past = after(1);
    let mut again = || policy.next_wait(paced, &mut past, now, None, &mut Rng::with_seed(0));
    assert!(again().expect("a retry") <= ms(250));
    let wait = again().expect("a retry");
    assert!(
        (ms(30_050)..=ms(30_250)).contains(&wait),
        "others first: {wait:?}"
    );
}

#[test]
fn while_the_provider_is_away_for_all_a_call_waits_by_its_patience_not_by_attempts() {
    let policy = RetryPolicy::default().patience(ms(60_000));
    let begin = now();
    let mut rng = Rng::with_seed(0);
    let mut past = after(4);
    let (mut at, mut attempts) = (begin, 0);
    let given_up = loop {
        past.sent();
        attempts += 1;
        let paced = PacedUntil::new(at + ms(2_000)).outage(true);
        let away = Failure {
            paced: Some(paced),
            ..THROTTLE
        };
        match policy.next_wait(away, &mut past, at, None, &mut rng) {
            Ok(wait) => {
                assert!((ms(2_050)..=ms(2_250)).contains(&wait), "after it opens");
                at += wait;
            }
            Err(why) => break why,
        }
    };
    assert_eq!(given_up, GiveUp::Patience);
    assert!((25..30).contains(&attempts), "{attempts}");
    assert!(at <= begin + ms(60_000));
    past.sent();
    let own = policy.next_wait(THROTTLE, &mut past, at, None, &mut rng);
    assert_eq!(own, Err(GiveUp::Attempts), "its own failures count as ever");
}

#[test]
fn success_gives_back_what_the_last_retry_cost() {
    let policy = RetryPolicy::default();
    let (mut past, mut rng) = (after(1), Rng::with_seed(0));
    let mut fail = |past: &mut Past, failure| {
        policy
            .next_wait(failure, past, now(), None, &mut rng)
            .expect("a retry")
    };
    fail(&mut past, ERROR);
    fail(&mut past, ERROR);
    assert_eq!(past.refund(), 2);
    assert_eq!(past.refund(), 0, "once");
    let paced = Failure {
        paced: Some(PacedUntil::new(now())),
        ..THROTTLE
    };
    fail(&mut past, ERROR);
    fail(&mut past, paced);
    assert_eq!(past.refund(), 0, "what cost nothing gives nothing back");
}

proptest! {
    #[test]
    fn a_hinted_wait_is_never_short_and_hardly_longer(
        hint in 1u64..120_000, attempts in 1u32..5, seed: u64,
    ) {
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
            .patience(Duration::MAX)
            .throttle_backoff(Backoff::new(Duration::MAX, Duration::MAX));
        let hint = Duration::from_secs(hint);
        if let Ok(wait) = next(&policy, hinted(hint), attempts, seed) {
            prop_assert!(wait >= hint);
        }
    }
}
