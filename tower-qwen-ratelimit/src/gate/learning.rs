//! What a gate learns from the provider's answers.

use super::gate::Gate;
use crate::{
    adapt::{Held, ThrottledCall},
    units::Nanos,
};

/// A window that drains is probed when this part of what is believed has left it.
// A fiftieth: so long after the provider's window has room the probe goes, at most. About as often as
// by sixtieths of the window, but not before anything has left.
const DRAINED: u64 = 50;

impl Gate {
    /// What was accepted of all processes when a call was throttled that cost `amount` and found
    /// `before` in the window.
    pub(crate) fn held(&self, before: u64, amount: u64) -> Held {
        Held {
            with_it: before.saturating_add(amount),
            allowed: self.share.of(self.quota),
            quota: self.given,
        }
    }

    /// A call was throttled, and this was held. Returns whether the limit is known now.
    pub(crate) fn on_throttle(&mut self, held: Held, call: ThrottledCall, now: Nanos) -> bool {
        let is_known = self.share.on_throttle(held, call, now);
        self.set_slow_start(self.slow_start);
        is_known
    }

    /// Whether a throttle claims a limit that no other one has proven.
    #[inline]
    pub(crate) fn has_claim(&self) -> bool {
        self.share.has_claim()
    }

    /// A call that was sent at `sent_at` was accepted, and this was held with it.
    pub(crate) fn on_accept(&mut self, held: Held, sent_at: Nanos, now: Nanos) {
        if self.share.on_accept(held, sent_at, now) {
            self.set_slow_start(self.slow_start);
        }
    }

    /// A call was throttled right after another one, and this was held: the provider's window is still
    /// draining.
    pub(crate) fn on_draining(&mut self, held: Held, call: ThrottledCall) {
        self.draining = Some((held, call));
    }

    /// When another part of what is believed has left the window, if the provider's drains.
    pub(crate) fn drains_at(&self, now: Nanos) -> Nanos {
        if self.draining.is_none() {
            return now;
        }
        let used = self.window.sum();
        let part = (self.believed() / DRAINED).min(used);
        self.window.ready_at(now, part, used)
    }

    /// A call was accepted after such throttles: what the last of them found is the limit.
    pub(crate) fn end_draining(&mut self, now: Nanos) {
        if let Some((held, call)) = self.draining.take() {
            self.share.on_drained(held, call, now);
            self.set_slow_start(self.slow_start);
        }
    }

    /// Whether the limit has been proven to have fallen by much.
    pub(crate) fn has_fallen(&self) -> bool {
        self.share.has_fallen()
    }

    /// What the provider is believed to grant in a window.
    #[inline]
    pub(crate) fn believed(&self) -> u64 {
        self.share.of(self.given)
    }

    /// Goes on from what was believed before.
    pub(crate) fn believe(&mut self, amount: u64, now: Nanos) {
        self.share.believe(amount, self.given, now);
        self.set_slow_start(self.slow_start);
    }
}
