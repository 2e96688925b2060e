//! What a way of enforcing a limit must be able to do.

use std::fmt::Debug;
use std::time::Duration;

use super::{bucket::Bucket, fixed::Fixed, sliding::Sliding};
use crate::config::Enforce;

/// Counts amounts over time against a limit.
pub(crate) trait Counter: Debug + Send {
    /// Goes on under another limit. What was counted stays counted.
    fn set_limit(&mut self, now: Duration, limit: u64);

    /// Whether `cost` more stays within the limit now.
    fn fits(&mut self, now: Duration, cost: u64) -> bool;

    /// How long until `cost` fits if nothing else is added. `None`: never.
    fn wait(&mut self, now: Duration, cost: u64) -> Option<Duration>;

    /// What of the limit may still be used now.
    fn remaining(&mut self, now: Duration) -> u64;

    /// Adds an amount, whether it fits or not. Returns what names this entry.
    fn add(&mut self, now: Duration, amount: u64) -> u64;

    /// Changes the amount of an entry, which keeps its date.
    fn correct(&mut self, now: Duration, entry: u64, from: u64, to: u64);
}

/// The counter of a way to enforce.
pub(crate) fn counter(enforce: Enforce, limit: u64, window: Duration) -> Box<dyn Counter> {
    match enforce {
        Enforce::Sliding => Box::new(Sliding::new(limit, window)),
        Enforce::Fixed => Box::new(Fixed::new(limit, window)),
        Enforce::Bucket => Box::new(Bucket::new(limit, window)),
    }
}
