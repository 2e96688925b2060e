//! The figures of a run.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::record::{Seen, Window};
use crate::setup::Setup;

/// Between these windows the served tokens of several processes are compared.
const COMPARED: RangeInclusive<u32> = 11..=20;
/// A client is adapted that uses so much of the quota in force, and has no more throttles for each call that is let in.
const WELL_USED: f64 = 0.9;
const WELL_KEPT: f64 = 0.01;

/// The figures of a run. Windows count from 1.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Of each window: what was used of the quota in force.
    pub windows: Vec<Share>,
    /// Of each window: what the provider counted.
    pub counted: Vec<Window>,
    /// Of each window: throttles for each call that was let in.
    pub throttled_windows: Vec<f64>,
    /// Throttles by the provider, the first window included.
    pub throttled: u64,
    /// Calls that the provider let in.
    pub admitted: u64,
    /// Calls that ended well.
    pub done: u64,
    /// Calls that were given up.
    pub failed: u64,
    /// How long calls waited beyond the provider's own time, sorted.
    waits: Vec<Duration>,
    /// Jain's index of the tokens that each process was served in windows 11 to 20.
    pub jain: f64,
}

/// What was used in one window of the quota in force, nothing taken off for headroom.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share {
    /// Of the requests.
    pub requests: f64,
    /// Of the tokens.
    pub tokens: f64,
}

impl Share {
    /// Of whichever dimension was used more.
    #[must_use]
    pub fn larger(self) -> f64 {
        self.requests.max(self.tokens)
    }
}

impl Figures {
    /// The figures of what was seen.
    #[must_use]
    pub fn new(setup: &Setup, mut seen: Seen) -> Self {
        let empty = Window {
            tokens_by_process: vec![0; setup.processes],
            ..Window::default()
        };
        // The callers stop at the end of the last full window.
        seen.windows.resize(setup.windows as usize, empty);
        let share = |(number, window): (u32, &Window)| {
            let (rpm, tpm) = setup.schedule.limits(&setup.provider, number);
            Share {
                requests: window.requests as f64 / rpm as f64,
                tokens: window.tokens as f64 / tpm as f64,
            }
        };
        seen.waits.sort_unstable();
        let served = |process: usize| {
            let compared = (1..).zip(&seen.windows);
            let compared = compared.filter(|(number, _)| COMPARED.contains(number));
            let tokens = compared.map(|(_, window)| window.tokens_by_process[process]);
            tokens.sum::<u64>() as f64
        };
        let served: Vec<f64> = (0..setup.processes).map(served).collect();
        Self {
            windows: (1..).zip(&seen.windows).map(share).collect(),
            throttled_windows: seen
                .windows
                .iter()
                .map(Window::throttled_per_call)
                .collect(),
            throttled: seen.windows.iter().map(|window| window.throttled).sum(),
            admitted: seen.windows.iter().map(|window| window.requests).sum(),
            done: seen.done,
            failed: seen.failed,
            waits: seen.waits,
            jain: jain(&served),
            counted: seen.windows,
        }
    }

    /// The mean of these windows, of the dimension that was used more over all of them.
    #[must_use]
    pub fn used(&self, windows: RangeInclusive<u32>) -> f64 {
        let mean = self.mean(windows);
        mean.larger()
    }

    /// The mean of these windows.
    #[must_use]
    pub fn mean(&self, windows: RangeInclusive<u32>) -> Share {
        let each: Vec<Share> = (1..)
            .zip(&self.windows)
            .filter(|(number, _)| windows.contains(number))
            .map(|(_, share)| *share)
            .collect();
        let mean = |of: fn(&Share) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
        Share {
            requests: mean(|share| share.requests),
            tokens: mean(|share| share.tokens),
        }
    }

    /// Throttles for each call that was let in or given up.
    #[must_use]
    pub fn throttled_per_call(&self) -> f64 {
        self.throttled as f64 / (self.admitted + self.failed).max(1) as f64
    }

    /// Calls given up, as a share of all that ended.
    #[must_use]
    pub fn given_up(&self) -> f64 {
        self.failed as f64 / (self.failed + self.done).max(1) as f64
    }

    /// The wait that this share of the calls did not exceed; zero without calls.
    #[must_use]
    pub fn wait(&self, share: f64) -> Duration {
        let place = (self.waits.len() as f64 * share) as usize;
        let last = self.waits.len().saturating_sub(1);
        self.waits.get(place.min(last)).copied().unwrap_or_default()
    }

    /// The time to adapt, in windows: how many of these begin before those from which on 0.9 is used and at most 1 throttle comes to 100
    /// calls, on the mean of each three in a row. `None` where that is never so.
    ///
    /// Of three, because requests and tokens bind in turns: single windows differ by some percent.
    #[must_use]
    pub fn adapted(&self, windows: RangeInclusive<u32>) -> Option<u32> {
        let (begin, end) = windows.into_inner();
        let kept = (begin..=end.checked_sub(2)?).rev().take_while(|&first| {
            let throttled = &self.throttled_windows[first as usize - 1..first as usize + 2];
            let throttled = throttled.iter().sum::<f64>() / throttled.len() as f64;
            self.used(first..=first + 2) >= WELL_USED && throttled <= WELL_KEPT
        });
        kept.last().map(|first| first - begin)
    }
}

/// Jain's index of fairness: 1 where all have the same, one n-th where one has all.
fn jain(served: &[f64]) -> f64 {
    let sum: f64 = served.iter().sum();
    let squares: f64 = served.iter().map(|tokens| tokens * tokens).sum();
    if squares == 0.0 {
        return 1.0;
    }
    sum * sum / (served.len() as f64 * squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Change, Schedule};

    fn window(requests: u64, tokens: [u64; 2], throttled: u64) -> Window {
        Window {
            requests,
            tokens: tokens.iter().sum(),
            tokens_by_process: tokens.to_vec(),
            throttled,
        }
    }

    #[test]
    fn shares_are_of_the_quota_in_force() {
        let mut setup = Setup::new(100);
        setup.processes = 2;
        setup.windows = 21;
        let half = Change {
            window: 11,
            share: 0.5,
        };
        setup.schedule = Schedule::new(vec![half]);
        let mut windows = vec![window(80, [40_000, 20_000], 0); 10];
        windows.push(window(20, [36_000, 12_000], 21));
        windows.extend(vec![window(20, [36_000, 12_000], 0); 10]);
        let seen = Seen {
            windows,
            done: 990,
            failed: 10,
            waits: (1..=100).rev().map(Duration::from_secs).collect(),
        };
        let figures = Figures::new(&setup, seen);
        let near = |is: f64, should: f64| assert!((is - should).abs() < 1e-9, "{is}");
        near(figures.used(1..=10), 0.8);
        near(figures.used(11..=21), 0.96);
        near(figures.throttled_per_call(), 21.0 / 1_030.0);
        near(figures.jain, 0.8);
        assert_eq!(figures.adapted(1..=10), None);
        // Well used from the first on, which has as many throttles as calls.
        assert_eq!(figures.adapted(11..=21), Some(1));
        assert_eq!(figures.adapted(12..=21), Some(0));
        assert_eq!(figures.wait(0.5), Duration::from_secs(51));
        assert_eq!(figures.wait(1.0), Duration::from_secs(100));
    }
}
