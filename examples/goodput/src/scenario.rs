//! The scenarios by the clock: what the provider does, and what the clients are told.

use std::time::Duration;

use mock_qwen::{Enforce, Growth, RetryAfter};

use crate::peers::Told;
use crate::schedule::{Change, Schedule};
use crate::setup::Setup;

/// Windows of a run, the first apart.
const WINDOWS: u32 = 13;
/// The limits halve in the beginning of this window, and are the whole again from the other on.
const HALVED: (u32, u32) = (4, 9);
/// The limits double in the beginning of this window: time enough before it to be sure of the old ones, and after it to find the new.
const DOUBLED: u32 = 5;
/// The first of six windows, each with a tenth less than the one before.
const FALLS: u32 = 4;

/// The scenarios that have a chart of their own, by window.
pub const BY_WINDOW: [(&str, &str); 2] = [
    ("halved, restored", "goodput-halved.svg"),
    ("doubled", "goodput-doubled.svg"),
];
/// Those of the small chart: one known quota, one that is not known, two that move, and one that is shared.
pub const FEW: [&str; 5] = [
    "sliding window",
    "ten times",
    "halved, restored",
    "doubled",
    "four processes",
];

/// What the provider does, and what the clients are told of its quota.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// A word or two.
    pub name: &'static str,
    /// What the provider does.
    pub setup: Setup,
    /// The clients are told this many times the quota.
    pub times: f64,
}

impl Scenario {
    /// What each client is given.
    #[must_use]
    pub fn told(&self) -> Told {
        let provider = &self.setup.provider;
        let of = |limit: u64| (limit as f64 * self.times) as u64;
        Told {
            rpm: of(provider.rpm),
            tpm: of(provider.tpm),
            window: provider.window,
        }
    }
}

/// All scenarios, a minute taking `minute`.
#[must_use]
pub fn all(minute: Duration) -> Vec<Scenario> {
    let with = |name, times, changes: &[&dyn Fn(&mut Setup)]| {
        let mut setup = Setup::new(800);
        for change in changes {
            change(&mut setup);
        }
        setup.windows = WINDOWS;
        Scenario {
            name,
            setup: setup.of_minute(minute),
            times,
        }
    };
    let fixed = |setup: &mut Setup| setup.provider.enforce = Enforce::Fixed;
    let bucket = |setup: &mut Setup| setup.provider.enforce = Enforce::Bucket;
    let seconds = |setup: &mut Setup| setup.provider.per_second = true;
    let growth = |setup: &mut Setup| setup.provider.growth = Some(Growth::default());
    // Whole seconds would be a large part of a shortened minute.
    let hints = |setup: &mut Setup| setup.provider.retry_after = RetryAfter::Milliseconds;
    let small = |setup: &mut Setup| *setup = Setup::new(60);
    let four = |setup: &mut Setup| setup.processes = 4;
    let hundred = |setup: &mut Setup| setup.processes = 100;
    let change = |window, share| Change { window, share };
    let halved = |setup: &mut Setup| {
        let (halved, restored) = HALVED;
        setup.schedule = Schedule::new(vec![change(halved, 0.5), change(restored, 1.0)]);
    };
    let doubled = |setup: &mut Setup| setup.schedule = Schedule::new(vec![change(DOUBLED, 2.0)]);
    let falls = |setup: &mut Setup| {
        let fall = |step: u32| change(FALLS + step, 0.9_f64.powi(step as i32 + 1));
        setup.schedule = Schedule::new((0..6).map(fall).collect());
    };
    vec![
        with("sliding window", 1.0, &[]),
        with("fixed window", 1.0, &[&fixed]),
        with("bucket", 1.0, &[&bucket]),
        with("bucket, seconds", 1.0, &[&bucket, &seconds]),
        with("growth punished", 1.0, &[&growth]),
        with("60 a minute", 1.0, &[&small]),
        with("ten times", 10.0, &[]),
        with("ten times, hints", 10.0, &[&hints]),
        with("ten times, fixed", 10.0, &[&fixed]),
        with("ten times, bucket", 10.0, &[&bucket]),
        with("ten times, seconds", 10.0, &[&bucket, &seconds]),
        with("ten times, growth", 10.0, &[&growth]),
        with("ten times, of 60", 10.0, &[&small]),
        with("a tenth", 0.1, &[]),
        with("halved, restored", 1.0, &[&halved]),
        with("halved, hints", 1.0, &[&halved, &hints]),
        with("doubled", 1.0, &[&doubled]),
        with("doubled, hints", 1.0, &[&doubled, &hints]),
        with("falls by tenths", 1.0, &[&falls]),
        with("falls, hints", 1.0, &[&falls, &hints]),
        with("four processes", 1.0, &[&four]),
        with("four, hints", 1.0, &[&four, &hints]),
        with("100 processes", 1.0, &[&hundred]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_are_of_scenarios_that_exist() {
        let all = all(Duration::from_secs(60));
        let exists = |name: &str| all.iter().any(|scenario| scenario.name == name);
        assert!(BY_WINDOW.iter().all(|(name, _)| exists(name)));
        assert!(FEW.iter().all(|name| exists(name)));
    }
}
