//! What a gate does with this process's part of a fleet's quota.

use super::gate::Gate;
use crate::{
    adapt::Belief,
    units::{Fraction, Nanos},
};

impl Gate {
    /// This process has a part of the account.
    pub(crate) fn set_part(&mut self, part: Fraction, now: Nanos) {
        self.part.set(part, now, self.window.length());
        self.set_slow_start(self.slow_start);
    }

    /// The store, whose buckets count for all, says whether what flows in is used; `None`: those of
    /// this process say so.
    pub(crate) fn set_used(&mut self, is_used: Option<bool>) {
        self.part.set_used(is_used);
    }

    /// What this process has saved is not its own any more.
    pub(crate) fn drain(&mut self) {
        if let Some(buckets) = &mut self.buckets {
            buckets.lower_to(0);
        }
    }

    /// By how much the parts of a fleet may exceed `quota`, the amount of a window, together.
    pub(crate) fn most_beyond_quota(&self, quota: u64) -> u64 {
        let saved = self.part.saved_of(self.capacity.credit, self.rate);
        self.rate
            .saturating_add(saved.max(self.capacity.burst))
            .saturating_sub(quota)
    }

    /// What this process believes of the limit.
    pub(crate) fn belief(&self, now: Nanos) -> Belief {
        self.share.belief(now)
    }

    /// Takes over what the fleet believes, as the answer to what was sent at `sent_at`.
    pub(crate) fn take_over(&mut self, belief: Belief, sent_at: Nanos, now: Nanos) {
        if self.share.take_over(belief, sent_at, now) {
            self.set_slow_start(self.slow_start);
        }
    }

    /// Nanoseconds of a slot.
    pub(crate) fn slot_width(&self) -> u64 {
        self.window.width()
    }
}
