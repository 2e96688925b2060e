use std::time::Duration;

use proptest::prelude::*;

use super::counter::counter;
use super::gate::{Gate, Oversize};
use crate::config::Enforce;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const NANO: Duration = Duration::from_nanos(1);

/// Fills a counter of 10, and says when 4 more fit.
fn freed(enforce: Enforce) -> Duration {
    let mut counter = counter(enforce, 10, MINUTE);
    counter.add(5 * SECOND, 3);
    counter.add(15 * SECOND, 7);
    let now = 20 * SECOND;
    let wait = counter.wait(now, 4).expect("it fits one day");
    assert!(!counter.fits(now, 4));
    assert!(!counter.fits(now + wait - NANO, 4));
    assert_eq!(counter.wait(now + wait - NANO, 4), Some(NANO));
    assert!(counter.fits(now + wait, 4));
    assert_eq!(counter.wait(now + wait, 4), Some(Duration::ZERO));
    now + wait
}

#[test]
fn each_way_admits_at_its_instant() {
    assert_eq!(freed(Enforce::Sliding), 75 * SECOND);
    assert_eq!(freed(Enforce::Fixed), MINUTE);
    // A token is refilled every 6 s: 10 - 3 + 10/6 - 7 = 10/6 are left at 15 s, and 14/6 missing.
    assert_eq!(freed(Enforce::Bucket), 29 * SECOND);
}

#[test]
fn each_way_refuses_at_one_above_the_limit() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let mut counter = counter(enforce, 10, MINUTE);
        assert!(counter.fits(SECOND, 10));
        assert!(!counter.fits(SECOND, 11));
        assert_eq!(counter.wait(SECOND, 11), None);
        counter.add(SECOND, 9);
        assert!(counter.fits(SECOND, 1));
        assert!(!counter.fits(SECOND, 2));
    }
}

#[test]
fn a_limit_of_nothing_admits_nothing() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let mut counter = counter(enforce, 0, MINUTE);
        assert!(!counter.fits(SECOND, 1));
        assert_eq!(counter.wait(SECOND, 1), None);
    }
}

#[test]
fn a_correction_keeps_the_date() {
    let mut sliding = counter(Enforce::Sliding, 10, MINUTE);
    let entry = sliding.add(Duration::ZERO, 10);
    sliding.correct(30 * SECOND, entry, 10, 4);
    assert!(sliding.fits(30 * SECOND, 6));
    assert!(!sliding.fits(30 * SECOND, 7));
    assert!(sliding.fits(MINUTE, 10));

    let mut fixed = counter(Enforce::Fixed, 10, MINUTE);
    let entry = fixed.add(Duration::ZERO, 10);
    fixed.correct(30 * SECOND, entry, 10, 4);
    assert!(fixed.fits(30 * SECOND, 6));
    assert!(!fixed.fits(30 * SECOND, 7));
}

#[test]
fn a_correction_after_the_window_changes_nothing() {
    for enforce in [Enforce::Sliding, Enforce::Fixed] {
        let mut counter = counter(enforce, 10, MINUTE);
        let entry = counter.add(Duration::ZERO, 10);
        counter.add(MINUTE, 5);
        counter.correct(MINUTE, entry, 10, 4);
        assert!(counter.fits(MINUTE, 5));
        assert!(!counter.fits(MINUTE, 6));
    }
}

#[test]
fn a_bucket_owes_and_takes_back_no_more_than_it_holds() {
    let mut bucket = counter(Enforce::Bucket, 60, MINUTE);
    bucket.add(Duration::ZERO, 90);
    assert_eq!(bucket.wait(Duration::ZERO, 1), Some(31 * SECOND));
    bucket.correct(10 * SECOND, 0, 90, 75);
    assert_eq!(bucket.wait(10 * SECOND, 1), Some(6 * SECOND));
    bucket.correct(10 * SECOND, 0, 75, 0);
    assert!(bucket.fits(10 * SECOND, 60));
    assert!(!bucket.fits(10 * SECOND, 61));
}

#[test]
fn what_is_larger_than_a_gate_waits_until_it_is_empty() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let mut gate = Gate::new(enforce, 10, SECOND, Oversize::WhenEmpty);
        assert!(gate.fits(Duration::ZERO, 50));
        gate.add(Duration::ZERO, 1);
        assert!(!gate.fits(Duration::ZERO, 50));
        let wait = gate.wait(Duration::ZERO, 50).expect("it fits one day");
        assert!(!gate.fits(wait - NANO, 50));
        assert!(gate.fits(wait, 50));

        let mut strict = Gate::new(enforce, 10, SECOND, Oversize::Never);
        assert!(!strict.fits(Duration::ZERO, 50));
        assert_eq!(strict.wait(Duration::ZERO, 50), None);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Add(u64),
    Correct(usize, u64),
    Ask(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..40).prop_map(Step::Pass),
        (0_u64..30).prop_map(Step::Add),
        (any::<usize>(), 0_u64..30).prop_map(|(entry, to)| Step::Correct(entry, to)),
        (0_u64..120).prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..200)
}

const LIMIT: u64 = 100;
const WINDOW: u64 = 60;

/// Counts anew every time. All entries there ever were, none thrown away.
fn recount(log: &[(u64, u64, u64)], now: u64) -> u64 {
    let counts = log.iter().filter(|&&(at, ..)| at + WINDOW > now);
    counts.map(|&(_, amount, _)| amount).sum()
}

fn at(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

proptest! {
    #[test]
    fn sliding_is_what_a_recount_says(steps in steps()) {
        let mut counter = counter(Enforce::Sliding, LIMIT, at(WINDOW));
        let mut log: Vec<(u64, u64, u64)> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Add(amount) => log.push((now, amount, counter.add(at(now), amount))),
                Step::Correct(entry, to) => {
                    let count = log.len().max(1);
                    if let Some((_, amount, name)) = log.get_mut(entry % count) {
                        counter.correct(at(now), *name, *amount, to);
                        *amount = to;
                    }
                }
                Step::Ask(cost) => {
                    let fits = |now| recount(&log, now) + cost <= LIMIT;
                    prop_assert_eq!(counter.fits(at(now), cost), fits(now));
                    let wait = (0..=WINDOW).find(|wait| fits(now + wait));
                    prop_assert_eq!(counter.wait(at(now), cost), wait.map(at));
                }
            }
        }
    }

    #[test]
    fn what_remains_fits_and_no_more(
        charges in prop::collection::vec((0_u64..20, 0_u64..40), 0..40),
        pause in 0..2 * WINDOW,
    ) {
        for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
            let mut counter = counter(enforce, LIMIT, at(WINDOW));
            let mut now = 0;
            for &(pause, amount) in &charges {
                now += pause;
                counter.add(at(now), amount);
            }
            now += pause;
            let remaining = counter.remaining(at(now));
            prop_assert!(remaining == 0 || counter.fits(at(now), remaining));
            prop_assert!(!counter.fits(at(now), remaining + 1));
        }
    }

    #[test]
    fn a_bucket_waits_no_longer_and_no_shorter_than_it_must(
        charges in prop::collection::vec((0_u64..5_000_000_000, 1_u64..700), 1..40),
        cost in 1_u64..=700,
    ) {
        // Time does not run backwards, so each question is asked of a bucket of its own.
        let told = || {
            let mut bucket = counter(Enforce::Bucket, 700, at(60_000_000_007));
            let mut now = 0;
            for (pause, amount) in &charges {
                now += pause;
                bucket.add(at(now), *amount);
            }
            (bucket, at(now))
        };
        let (mut bucket, now) = told();
        let wait = bucket.wait(now, cost).expect("it fits one day");
        prop_assert!(bucket.fits(now + wait, cost));
        if let Some(before) = wait.checked_sub(at(1)) {
            prop_assert!(!told().0.fits(now + before, cost));
        }
    }
}
