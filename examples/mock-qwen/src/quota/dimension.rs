//! All limits on one kind of amount: requests, or tokens.

use std::time::Duration;

use super::counter::Counter;
use super::gate::{Gate, Oversize};
use super::sliding::Sliding;
use crate::config::Config;

#[derive(Debug)]
pub(crate) struct Dimension {
    limit: u64,
    window: Gate,
    slice: Option<Gate>,
    /// Sees the same charges, and only remembers the highest sum over a window.
    watch: Sliding,
    highest: u64,
}

/// Which of the limits refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Window,
    Slice,
}

/// What the window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// How long until nothing is used, if nothing else is added.
    pub(crate) reset: Duration,
}

/// Names a charge, to correct it later.
#[derive(Debug)]
pub(crate) struct Mark {
    window: u64,
    slice: u64,
    watch: u64,
    amount: u64,
}

impl Dimension {
    pub(crate) fn new(config: &Config, limit: u64) -> Self {
        let (enforce, window) = (config.enforce, config.window);
        let slice = config.per_second.then(|| {
            let part = part_of_a_slice(config, limit);
            Gate::new(enforce, part, window / 60, Oversize::WhenEmpty)
        });
        Self {
            limit,
            window: Gate::new(enforce, limit, window, Oversize::Never),
            slice,
            watch: Sliding::new(limit, window),
            highest: 0,
        }
    }

    pub(crate) fn set_limit(&mut self, config: &Config, now: Duration, limit: u64) {
        self.limit = limit;
        self.window.set_limit(now, limit);
        if let Some(slice) = &mut self.slice {
            slice.set_limit(now, part_of_a_slice(config, limit));
        }
    }

    /// The limit that refuses `cost` now, the window's first.
    pub(crate) fn refusal(&mut self, now: Duration, cost: u64) -> Option<Scope> {
        if !self.window.fits(now, cost) {
            return Some(Scope::Window);
        }
        let slice = self.slice.as_mut()?;
        (!slice.fits(now, cost)).then_some(Scope::Slice)
    }

    /// How long until `cost` fits everywhere. `None`: never.
    pub(crate) fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration> {
        let window = self.window.wait(now, cost)?;
        match &mut self.slice {
            Some(slice) => Some(window.max(slice.wait(now, cost)?)),
            None => Some(window),
        }
    }

    pub(crate) fn room(&mut self, now: Duration) -> Room {
        Room {
            limit: self.limit,
            remaining: self.window.remaining(now),
            // Where all of the limit fits, nothing is used.
            reset: self.window.wait(now, self.limit).unwrap_or_default(),
        }
    }

    pub(crate) fn add(&mut self, now: Duration, amount: u64) -> Mark {
        let mark = Mark {
            window: self.window.add(now, amount),
            slice: self
                .slice
                .as_mut()
                .map_or(0, |slice| slice.add(now, amount)),
            watch: self.watch.add(now, amount),
            amount,
        };
        self.look(now);
        mark
    }

    pub(crate) fn correct(&mut self, now: Duration, mark: &Mark, to: u64) {
        self.window.correct(now, mark.window, mark.amount, to);
        if let Some(slice) = &mut self.slice {
            slice.correct(now, mark.slice, mark.amount, to);
        }
        self.watch.correct(now, mark.watch, mark.amount, to);
        self.look(now);
    }

    /// The highest sum over any window so far, relative to the limit.
    pub(crate) fn highest_share(&self) -> f64 {
        self.highest as f64 / self.limit.max(1) as f64
    }

    /// Forgets the highest sum so far.
    pub(crate) fn forget_highest(&mut self, now: Duration) {
        self.highest = self.watch.used(now);
    }

    fn look(&mut self, now: Duration) {
        self.highest = self.highest.max(self.watch.used(now));
    }
}

fn part_of_a_slice(config: &Config, limit: u64) -> u64 {
    ((limit as f64 * config.slice_burst / 60.0).floor() as u64).max(1)
}
