use crate::scan::usage_sum::UsagePlace;

use super::{effect::Effect, outline::Outline};

/// An event that was read in full.
pub(super) struct Learned {
    /// Where its data begins.
    pub(super) data_start: usize,
    pub(super) outline: Outline,
    /// Of what its usage is stated.
    pub(super) place: UsagePlace,
    pub(super) effect: Effect,
}
