//! The most that first come, first served can use of a quota.

use std::collections::VecDeque;
use std::time::Duration;

use mock_qwen::Enforce;

use crate::jobs::Jobs;
use crate::measure::Share;
use crate::setup::Setup;

/// A bucket is filled in so many steps a window: each is shorter than the time between two calls of the largest quota.
const STEPS: u32 = 60_000;

/// What a client uses of the quota in force that knows each job's tokens and each change of the limits beforehand, and sends each
/// job, in order, as soon as it fits: the mean of all windows but the first. A call that does not fit holds up all behind it, so
/// where requests and tokens bind in turns this is below 1.
///
/// All tokens count when a call is sent. Of a provider that also counts seconds or punishes growth this is what its quota alone
/// allows.
#[must_use]
pub fn used(setup: &Setup, seed: u64) -> f64 {
    let mut jobs = Jobs::new(seed, setup.size, setup.provider.tpm);
    let mut quota = InForce::new(setup);
    let mut windows = vec![(0, 0); setup.windows as usize];
    'jobs: loop {
        let job = jobs.next_job();
        let cost = job.prompt + job.output;
        while !quota.fits(cost) {
            if !quota.pass() {
                break 'jobs;
            }
        }
        let Some((requests, tokens)) = windows.get_mut(quota.window() as usize - 1) else {
            break;
        };
        quota.add(cost);
        *requests += 1;
        *tokens += cost;
    }
    let counted = (2..=setup.windows).zip(windows.iter().skip(1));
    let shares = counted.map(|(number, &(requests, tokens))| {
        let (rpm, tpm) = setup.schedule.limits(&setup.provider, number);
        Share {
            requests: requests as f64 / rpm as f64,
            tokens: tokens as f64 / tpm as f64,
        }
    });
    let sum = shares.fold(Share::default(), |sum, share| Share {
        requests: sum.requests + share.requests,
        tokens: sum.tokens + share.tokens,
    });
    sum.larger() / f64::from(setup.windows.saturating_sub(1).max(1))
}

/// A provider's quota over time, and what is used of it.
struct InForce<'a> {
    setup: &'a Setup,
    now: Duration,
    /// Calls that still count, where each counts for one window or until the next begins.
    sent: VecDeque<(Duration, u64)>,
    held: u64,
    /// What a bucket holds of requests and tokens.
    level: (f64, f64),
}

impl<'a> InForce<'a> {
    fn new(setup: &'a Setup) -> Self {
        let (rpm, tpm) = setup.schedule.limits(&setup.provider, 1);
        Self {
            setup,
            now: Duration::ZERO,
            sent: VecDeque::new(),
            held: 0,
            level: (rpm as f64, tpm as f64),
        }
    }

    /// The number of the window, from 1.
    fn window(&self) -> u32 {
        let number = self.now.as_nanos() / self.setup.provider.window.as_nanos();
        u32::try_from(number + 1).unwrap_or(u32::MAX)
    }

    fn limits(&self) -> (u64, u64) {
        let Setup {
            schedule, provider, ..
        } = self.setup;
        schedule.limits(provider, self.window())
    }

    fn fits(&self, cost: u64) -> bool {
        if self.setup.provider.enforce == Enforce::Bucket {
            return self.level.0 >= 1.0 && self.level.1 >= cost as f64;
        }
        let (rpm, tpm) = self.limits();
        (self.sent.len() as u64) < rpm && self.held + cost <= tpm
    }

    fn add(&mut self, cost: u64) {
        if self.setup.provider.enforce == Enforce::Bucket {
            self.level.0 -= 1.0;
            self.level.1 -= cost as f64;
        } else {
            self.sent.push_back((self.now, cost));
            self.held += cost;
        }
    }

    /// Goes on to when more may fit. `false` where there is no such time.
    fn pass(&mut self) -> bool {
        let length = self.setup.provider.window;
        let next_window = length * self.window();
        match self.setup.provider.enforce {
            // A call leaves, or the limits change, which they do where a window begins.
            Enforce::Sliding => {
                let leaves = self.sent.front().map(|&(at, _)| at + length);
                self.now = leaves.map_or(next_window, |leaves| leaves.min(next_window));
                while let Some(&(at, cost)) = self.sent.front()
                    && at + length <= self.now
                {
                    self.sent.pop_front();
                    self.held -= cost;
                }
            }
            Enforce::Fixed => {
                self.now = next_window;
                self.sent.clear();
                self.held = 0;
            }
            Enforce::Bucket => {
                let (rpm, tpm) = self.limits();
                let step = length / STEPS;
                let refill = |level: f64, limit: u64| {
                    let limit = limit as f64;
                    (level + limit / f64::from(STEPS)).min(limit)
                };
                self.level = (refill(self.level.0, rpm), refill(self.level.1, tpm));
                self.now += step;
            }
        }
        self.window() <= self.setup.windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Size;
    use crate::schedule::{Change, Schedule};

    fn near(is: f64, should: f64) {
        assert!((is - should).abs() < 0.005, "{is}");
    }

    fn requests_bind(enforce: Enforce, changes: Vec<Change>) -> f64 {
        let mut setup = Setup {
            size: Size::RequestsBind,
            schedule: Schedule::new(changes),
            ..Setup::new(800)
        };
        setup.provider.enforce = enforce;
        used(&setup, 1)
    }

    #[test]
    fn all_is_used_where_requests_bind_and_nearly_all_where_both_do() {
        for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
            near(requests_bind(enforce, Vec::new()), 1.0);
        }
        let both = used(&Setup::new(800), 1);
        assert!((0.96..1.0).contains(&both), "{both}");
    }

    #[test]
    fn changes_are_followed() {
        let change = |share| Change { window: 8, share };
        for share in [0.5, 2.0] {
            near(requests_bind(Enforce::Sliding, vec![change(share)]), 1.0);
            near(requests_bind(Enforce::Fixed, vec![change(share)]), 1.0);
        }
    }
}
