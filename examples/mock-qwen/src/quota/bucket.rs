//! A bucket that holds the limit, starts full, and refills by the limit in a window.

use std::time::Duration;

use super::counter::Counter;

/// Amounts are kept times the window's nanoseconds, so that a nanosecond refills exactly `limit`
/// and nothing is ever rounded.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: i128,
    window: i128,
    /// What may be taken; below zero, what is owed.
    level: i128,
    at: Duration,
}

impl Bucket {
    pub(crate) fn new(limit: u64, window: Duration) -> Self {
        let (limit, window) = (i128::from(limit), window.as_nanos() as i128);
        Self {
            limit,
            window,
            level: limit * window,
            at: Duration::ZERO,
        }
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_nanos() as i128;
        self.level = (self.level + passed * self.limit).min(self.limit * self.window);
        self.at = now;
    }
}

impl Counter for Bucket {
    fn set_limit(&mut self, now: Duration, limit: u64) {
        self.refill(now);
        self.limit = i128::from(limit);
        self.refill(now);
    }

    fn fits(&mut self, now: Duration, cost: u64) -> bool {
        self.refill(now);
        i128::from(cost) * self.window <= self.level
    }

    fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration> {
        let cost = i128::from(cost);
        if cost > self.limit {
            return None;
        }
        self.refill(now);
        let missing = cost * self.window - self.level;
        if missing <= 0 {
            return Some(Duration::ZERO);
        }
        let nanos = (missing + self.limit - 1) / self.limit;
        Some(Duration::from_nanos(nanos as u64))
    }

    fn remaining(&mut self, now: Duration) -> u64 {
        self.refill(now);
        (self.level.max(0) / self.window) as u64
    }

    fn add(&mut self, now: Duration, amount: u64) -> u64 {
        self.refill(now);
        self.level -= i128::from(amount) * self.window;
        0
    }

    /// A bucket has no entries: what was too much comes back now, as far as there is room.
    fn correct(&mut self, now: Duration, _entry: u64, from: u64, to: u64) {
        self.refill(now);
        let back = (i128::from(from) - i128::from(to)) * self.window;
        self.level = (self.level + back).min(self.limit * self.window);
    }
}
