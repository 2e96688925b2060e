//! Windows in a row, the first from the start of the server.

use std::time::Duration;

use super::counter::Counter;

#[derive(Debug)]
pub(crate) struct Fixed {
    limit: u64,
    window: Duration,
    /// Number of the window that `used` belongs to.
    number: u64,
    used: u64,
}

impl Fixed {
    pub(crate) fn new(limit: u64, window: Duration) -> Self {
        Self {
            limit,
            window,
            number: 0,
            used: 0,
        }
    }

    fn used(&mut self, now: Duration) -> u64 {
        let number = (now.as_nanos() / self.window.as_nanos()) as u64;
        if number != self.number {
            self.number = number;
            self.used = 0;
        }
        self.used
    }
}

impl Counter for Fixed {
    fn set_limit(&mut self, _: Duration, limit: u64) {
        self.limit = limit;
    }

    fn fits(&mut self, now: Duration, cost: u64) -> bool {
        self.used(now).saturating_add(cost) <= self.limit
    }

    fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration> {
        if cost > self.limit {
            return None;
        }
        if self.fits(now, cost) {
            return Some(Duration::ZERO);
        }
        let into_window = now.as_nanos() % self.window.as_nanos();
        Some(self.window - Duration::from_nanos(into_window as u64))
    }

    fn remaining(&mut self, now: Duration) -> u64 {
        self.limit.saturating_sub(self.used(now))
    }

    fn add(&mut self, now: Duration, amount: u64) -> u64 {
        self.used = self.used(now) + amount;
        self.number
    }

    fn correct(&mut self, now: Duration, entry: u64, from: u64, to: u64) {
        self.used(now);
        if entry == self.number {
            self.used = self.used - from + to;
        }
    }
}
