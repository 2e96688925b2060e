//! The quota moves, others use it too, or the provider fails now and then.

use mock_qwen::{Config, Faults};

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

fn four_processes() -> Setup {
    Setup {
        processes: 4,
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
    vec![
        Case::with_times(
            "falls-by-tenths",
            falling(),
            1,
            vec![used(FALLS, FALLS + 5, 0.90), Bound::Throttled(0.005)],
        ),
        // From the second whole window after the fall, and from the fourth after the return.
        Case::with_times(
            "halved-restored",
            halved(),
            1,
            vec![
                used(HALVED + 1, RESTORED - 1, 0.92),
                used(RESTORED + 3, 21, 0.92),
                Bound::Throttled(0.005),
            ],
        ),
        Case::with_times(
            "four-blind-processes",
            four_processes(),
            1,
            vec![used(2, 21, 0.92), Bound::Jain(0.9), Bound::Throttled(0.01)],
        ),
        Case::with_times(
            "unavailable-2-percent",
            with_capacity_failures(),
            1,
            vec![Bound::Throughput(0.9)],
        ),
    ]
}
