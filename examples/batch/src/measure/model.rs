//! What is measured of one model.

use super::{Series, Slot, Times};

/// What is measured of one model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelFigures {
    /// Calls that were answered.
    pub answered: u64,
    /// Calls that failed.
    pub failed: u64,
    /// How long each call waited: for quota, and between its attempts.
    pub wait: Times,
    /// From the send to the first part of an answer, of streams that came to their end.
    pub first_token: Times,
    /// From when a call took its place in the queue to the end of its answer; of answered calls.
    pub total: Times,
    /// Its course over time.
    pub series: Series<Slot>,
}
