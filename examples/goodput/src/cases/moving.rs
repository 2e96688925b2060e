//! The quota moves, others use it too, or the provider fails now and then.

use mock_qwen::{Config, Faults, RetryAfter};
use tower_qwen_ratelimit::Quota;

use super::Case;
use crate::bound::Bound;
use crate::provider::Times;
use crate::schedule::{Change, Schedule};
use crate::setup::Setup;

/// The first of six windows, each with a tenth less than the one before.
const FALLS: u32 = 6;
/// The first window at half of the limits, and the first at the whole again.
const HALVED: u32 = 6;
const RESTORED: u32 = 13;

fn used(from: u32, to: u32, at_least: f64) -> Bound {
    Bound::Used { from, to, at_least }
}

fn falling() -> Setup {
    let fall = |step: u32| Change {
        window: FALLS + step,
        share: 0.9_f64.powi(step as i32 + 1),
    };
    Setup {
        schedule: Schedule::new((0..6).map(fall).collect()),
        ..Setup::new(800)
    }
}

fn halved() -> Setup {
    let change = |window, share| Change { window, share };
    Setup {
        schedule: Schedule::new(vec![change(HALVED, 0.5), change(RESTORED, 1.0)]),
        ..Setup::new(800)
    }
}

/// Twice the limits from this window on.
const DOUBLED: u32 = 8;

fn doubled() -> Setup {
    let change = Change {
        window: DOUBLED,
        share: 2.0,
    };
    Setup {
        schedule: Schedule::new(vec![change]),
        ..Setup::new(800)
    }
}

fn with_hints(mut setup: Setup) -> Setup {
    setup.provider.retry_after = RetryAfter::Seconds;
    setup
}

fn processes(processes: usize) -> Setup {
    Setup {
        processes,
        ..Setup::new(800)
    }
}

/// No quota is in reach of 150 callers. Five minutes, as nothing of it depends on windows.
fn with_capacity_failures() -> Setup {
    let setup = Setup::new(100_000);
    Setup {
        provider: Config {
            faults: Faults {
                unavailable: 0.02,
                ..Faults::default()
            },
            ..setup.provider
        },
        times: Times::FAST,
        callers: 150,
        windows: 5,
        ..setup
    }
}

pub(super) fn cases() -> Vec<Case> {
    let (known, at_least) = (
        Quota::per_minute(800, 800_000),
        Quota::at_least(800, 800_000),
    );
    // What other cases bound, under other circumstances.
    let no_bound =
        |name, about, setup, quota| Case::with_quota(name, about, setup, quota, Vec::new());
    vec![
        Case::with_times(
            "falls-by-tenths",
            "a tenth less in each of six windows",
            falling(),
            1,
            vec![used(FALLS, FALLS + 5, 0.90), Bound::Throttled(0.005)],
        ),
        no_bound(
            "falls-by-tenths-hints",
            "the same, with `Retry-After`",
            with_hints(falling()),
            known,
        ),
        no_bound(
            "falls-by-tenths-at-least",
            "`at_least`: the same without hints",
            falling(),
            at_least,
        ),
        // From the second whole window after the fall, and from the fourth after the return.
        Case::with_quota(
            "halved-restored",
            "`at_least`: half of it for seven windows, then the whole again",
            halved(),
            at_least,
            vec![
                used(HALVED + 1, RESTORED - 1, 0.92),
                used(RESTORED + 3, 21, 0.92),
                Bound::Throttled(0.005),
            ],
        ),
        no_bound(
            "halved-restored-hints",
            "the same, with `Retry-After`",
            with_hints(halved()),
            at_least,
        ),
        no_bound(
            "halved-restored-plain",
            "the same, a plain quota, without hints",
            halved(),
            known,
        ),
        no_bound(
            "doubled",
            "`at_least`: twice of it from the eighth window on",
            doubled(),
            at_least,
        ),
        no_bound(
            "doubled-hints",
            "the same, with `Retry-After`",
            with_hints(doubled()),
            at_least,
        ),
        no_bound(
            "doubled-plain",
            "the same, a plain quota, without hints",
            doubled(),
            known,
        ),
        Case::with_times(
            "four-blind-processes",
            "four processes that do not know of each other",
            processes(4),
            1,
            vec![used(2, 21, 0.92), Bound::Jain(0.9), Bound::Throttled(0.01)],
        ),
        no_bound(
            "four-blind-processes-hints",
            "the same, with `Retry-After`",
            with_hints(processes(4)),
            known,
        ),
        no_bound(
            "hundred-blind-processes",
            "a hundred processes that do not know of each other",
            processes(100),
            known,
        ),
        Case::with_times(
            "unavailable-2-percent",
            "2 % of random 503s, 150 calls at a time, no quota near",
            with_capacity_failures(),
            1,
            vec![Bound::Throughput(0.9)],
        ),
    ]
}
