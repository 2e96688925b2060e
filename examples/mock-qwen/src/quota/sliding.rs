//! A log of every charge; one counts until exactly a window after its date.

use std::collections::VecDeque;
use std::time::Duration;

use super::counter::Counter;

#[derive(Debug)]
pub(crate) struct Sliding {
    limit: u64,
    window: Duration,
    /// Date and amount, oldest first.
    log: VecDeque<(Duration, u64)>,
    /// How many entries have left: the name of the oldest that is still here.
    left: u64,
    /// Sum of the amounts in the log.
    used: u64,
}

impl Sliding {
    pub(crate) fn new(limit: u64, window: Duration) -> Self {
        Self {
            limit,
            window,
            log: VecDeque::new(),
            left: 0,
            used: 0,
        }
    }

    /// What counts now.
    pub(crate) fn used(&mut self, now: Duration) -> u64 {
        while let Some(&(at, amount)) = self.log.front() {
            if at + self.window > now {
                break;
            }
            self.used -= amount;
            self.left += 1;
            self.log.pop_front();
        }
        self.used
    }
}

impl Counter for Sliding {
    fn set_limit(&mut self, _: Duration, limit: u64) {
        self.limit = limit;
    }

    fn fits(&mut self, now: Duration, cost: u64) -> bool {
        self.used(now).saturating_add(cost) <= self.limit
    }

    fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration> {
        let room = self.limit.checked_sub(cost)?;
        let mut used = self.used(now);
        let mut wait = Duration::ZERO;
        for &(at, amount) in &self.log {
            if used <= room {
                break;
            }
            used -= amount;
            wait = at + self.window - now;
        }
        Some(wait)
    }

    fn remaining(&mut self, now: Duration) -> u64 {
        self.limit.saturating_sub(self.used(now))
    }

    fn add(&mut self, now: Duration, amount: u64) -> u64 {
        self.used = self.used(now) + amount;
        self.log.push_back((now, amount));
        self.left + self.log.len() as u64 - 1
    }

    fn correct(&mut self, now: Duration, entry: u64, _from: u64, to: u64) {
        self.used(now);
        let Some(place) = entry.checked_sub(self.left) else {
            return;
        };
        if let Some((_, amount)) = self.log.get_mut(place as usize) {
            self.used = self.used - *amount + to;
            *amount = to;
        }
    }
}
