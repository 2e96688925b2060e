//! One limit over one length of time.

use std::time::Duration;

use super::counter::{Counter, counter};
use crate::config::Enforce;

#[derive(Debug)]
pub(crate) struct Gate {
    counter: Box<dyn Counter>,
    limit: u64,
    oversize: Oversize,
}

/// What becomes of a call that is larger than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oversize {
    /// It never fits.
    Never,
    /// It fits when nothing else is counted.
    WhenEmpty,
}

impl Gate {
    pub(crate) fn new(enforce: Enforce, limit: u64, window: Duration, oversize: Oversize) -> Self {
        Self {
            counter: counter(enforce, limit, window),
            limit,
            oversize,
        }
    }

    pub(crate) fn set_limit(&mut self, now: Duration, limit: u64) {
        self.limit = limit;
        self.counter.set_limit(now, limit);
    }

    pub(crate) fn fits(&mut self, now: Duration, cost: u64) -> bool {
        self.counter.fits(now, self.asked(cost))
    }

    pub(crate) fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration> {
        self.counter.wait(now, self.asked(cost))
    }

    pub(crate) fn remaining(&mut self, now: Duration) -> u64 {
        self.counter.remaining(now)
    }

    pub(crate) fn add(&mut self, now: Duration, amount: u64) -> u64 {
        self.counter.add(now, amount)
    }

    pub(crate) fn correct(&mut self, now: Duration, entry: u64, from: u64, to: u64) {
        self.counter.correct(now, entry, from, to);
    }

    /// Asking for the whole limit is asking for an empty gate.
    fn asked(&self, cost: u64) -> u64 {
        match self.oversize {
            Oversize::Never => cost,
            Oversize::WhenEmpty => cost.min(self.limit),
        }
    }
}
