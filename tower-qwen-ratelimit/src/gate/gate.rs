#[cfg(feature = "redis")]
use super::part::Part;
use super::{
    buckets::{Buckets, Capacity},
    window::{SlotNumber, Window},
};
use crate::{
    adapt::{Held, LearnedShare, ThrottledCall},
    quota::Quota,
    snapshot::GateSnapshot,
    units::{Fraction, Nanos},
};

/// A window that drains is probed when this part of what is believed has left it.
// A fiftieth: so long after the provider's window has room the probe goes, at most. About as often as
// by sixtieths of the window, but not before anything has left.
const DRAINED: u64 = 50;

/// The gate of one dimension, requests or tokens: an even flow, and never more than the quota in
/// any window.
#[derive(Debug)]
pub(crate) struct Gate {
    /// The quota of a window.
    given: u64,
    /// What a window may hold by the quota alone, less the headroom.
    pub(super) quota: u64,
    /// What flows in during a window by the quota alone, less the headroom.
    pub(super) rate: u64,
    pub(super) capacity: Capacity,
    pub(super) buckets: Option<Buckets>,
    pub(super) window: Window,
    /// What the provider is believed to grant of it.
    pub(super) share: LearnedShare,
    /// The last throttle of this dimension while the provider's window drains.
    draining: Option<(Held, ThrottledCall)>,
    /// What slow start allows of rate and burst.
    pub(super) slow_start: Fraction,
    #[cfg(feature = "redis")]
    pub(super) part: Part,
    /// What the window may hold at present.
    allowed: u64,
}

impl Gate {
    pub(crate) fn new(quota: &Quota, amount: u64, now: Nanos) -> Self {
        let length = quota.window_nanos();
        let (usable, rate) = (quota.usable(amount), quota.rate_of(amount));
        let capacity = Capacity::of(quota, rate);
        let buckets = quota
            .is_smooth()
            .then(|| Buckets::new(rate, length, capacity, now));
        let mut window = Window::new(length);
        window.advance(now);
        Self {
            given: amount,
            quota: usable,
            rate,
            capacity,
            buckets,
            window,
            share: LearnedShare::new(quota.is_start(), length, now),
            draining: None,
            slow_start: Fraction::WHOLE,
            #[cfg(feature = "redis")]
            part: Part::whole(quota.is_smooth()),
            allowed: usable,
        }
    }

    /// Goes on under another quota than the one `before`. What was charged within the window stays
    /// charged; what is owed beyond it is forgiven.
    pub(crate) fn set_quota(&mut self, before: &Quota, quota: &Quota, amount: u64, now: Nanos) {
        self.share.set_quota(self.given, amount, quota.is_start());
        self.given = amount;
        self.quota = quota.usable(amount);
        self.rate = quota.rate_of(amount);
        self.capacity = Capacity::of(quota, self.rate);
        let length = quota.window_nanos();
        if (before.window_nanos(), before.is_smooth()) != (length, quota.is_smooth()) {
            self.begin_anew(quota, length, now);
        } else if let Some(buckets) = &mut self.buckets {
            buckets.set_quota(self.rate);
        }
        self.set_slow_start(self.slow_start);
    }

    /// Another window, or another way to use it.
    #[cold]
    fn begin_anew(&mut self, quota: &Quota, length: u64, now: Nanos) {
        self.window.set_length(length, now);
        self.share.set_window(length, now);
        self.buckets = quota.is_smooth().then(|| {
            let mut buckets = Buckets::new(self.rate, length, self.capacity, now);
            // What was saved by the other rule may just have been spent.
            buckets.lower_to(0);
            buckets
        });
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos, is_awaited: bool) {
        // Of the time that has gone by, and so before it leaves the window: where a whole window goes
        // at once, nothing happens until all of it is free again.
        let is_used = is_awaited && self.is_used();
        if let Some(buckets) = &mut self.buckets {
            buckets.advance(now);
        }
        self.window.advance(now);
        let is_changed = self.share.advance(now, is_used);
        #[cfg(feature = "redis")]
        let is_changed = is_changed | self.part.advance(now);
        if is_changed {
            self.follow_share();
        }
    }

    // Apart, so that the calls that change nothing save no registers for it.
    #[cold]
    fn follow_share(&mut self) {
        self.set_slow_start(self.slow_start);
    }

    /// The quota of a window, less the headroom.
    pub(crate) fn usable(&self) -> u64 {
        self.quota
    }

    /// This process's part of it, as far as the provider is believed to grant it.
    pub(crate) fn own(&self) -> u64 {
        self.own_part(self.share.of(self.quota))
    }

    /// What the window holds.
    pub(crate) fn used(&self) -> u64 {
        self.window.sum()
    }

    /// What of it may be used at present.
    pub(crate) fn allowed(&self) -> u64 {
        self.allowed
    }

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

    /// The account is closed until then.
    pub(crate) fn close_until(&mut self, until: Nanos) {
        if let Some(buckets) = &mut self.buckets {
            buckets.close_until(until);
        }
    }

    /// The account opens sooner than was expected.
    pub(crate) fn open_at(&mut self, at: Nanos) {
        if let Some(buckets) = &mut self.buckets {
            buckets.open_at(at);
        }
    }

    /// The closures are over. If `is_saved`, what would have flowed in meanwhile is saved.
    pub(crate) fn end_closures(&mut self, is_saved: bool) {
        if let Some(buckets) = &mut self.buckets {
            buckets.end_closures(is_saved);
        }
    }

    /// Spreads the quota evenly from now on, also under [`Pacing::Window`](crate::Pacing). Returns whether it did not before.
    pub(crate) fn pace_evenly(&mut self, now: Nanos) -> bool {
        let is_new = self.buckets.is_none();
        if is_new {
            let length = self.window.length();
            let capacity = self.own_capacity(self.slow_start);
            let mut buckets = Buckets::new(self.rate, length, capacity, now);
            // A whole window may just have gone at once.
            buckets.lower_to(0);
            self.buckets = Some(buckets);
            self.follow();
        }
        is_new
    }

    /// Whether a whole window may go at once.
    #[inline]
    pub(crate) fn goes_at_once(&self) -> bool {
        self.buckets.is_none()
    }

    /// Whether all that may be used is used, rather than saved.
    fn is_used(&self) -> bool {
        #[cfg(feature = "redis")]
        if let Some(is_used) = self.part.is_used() {
            return is_used;
        }
        self.is_nearly_full() || self.buckets.as_ref().is_some_and(Buckets::is_used)
    }

    /// Whether nine tenths of what a window may hold are used.
    #[inline]
    pub(crate) fn is_nearly_full(&self) -> bool {
        self.window.sum() >= self.allowed / 10 * 9
    }

    /// Slow start allows this share of rate and burst.
    pub(crate) fn set_slow_start(&mut self, share: Fraction) {
        self.slow_start = share;
        let capacity = self.own_capacity(share);
        if let Some(buckets) = &mut self.buckets {
            buckets.set_capacity(capacity);
        }
        self.follow();
    }

    /// Computes rate and window anew after a change of quota, share or part.
    fn follow(&mut self) {
        let quota = self.share.of(self.quota);
        self.allowed = quota;
        #[cfg(feature = "redis")]
        {
            self.allowed = self.part.held_of(quota);
        }
        let rate = self.share.of(self.rate);
        let rate = self.own_part(self.slow_start.of(rate));
        if let Some(buckets) = &mut self.buckets {
            // Never nothing of something: the buckets would never fill again.
            buckets.set_rate(rate.max(self.rate.min(1)));
        }
    }

    /// What the buckets hold at most under this share of slow start.
    fn own_capacity(&self, share: Fraction) -> Capacity {
        let credit = self.capacity.credit;
        #[cfg(feature = "redis")]
        let credit = self.part.saved_of(credit, self.rate);
        let own = |amount| self.own_part(share.of(self.share.of(amount)));
        Capacity {
            burst: own(self.capacity.burst),
            credit: own(credit),
        }
    }

    #[cfg(feature = "redis")]
    fn own_part(&self, amount: u64) -> u64 {
        self.part.of(amount)
    }

    /// Nobody shares the account.
    #[cfg(not(feature = "redis"))]
    fn own_part(&self, amount: u64) -> u64 {
        amount
    }

    /// The first instant at which `amount` may go.
    #[inline]
    pub(crate) fn ready_at(&self, now: Nanos, amount: u64) -> Nanos {
        // A call above what is allowed at present, but within the quota, goes alone instead of
        // never.
        let quota = self.allowed().max(amount);
        let buckets = self
            .buckets
            .as_ref()
            .map_or(now, |buckets| buckets.ready_at(amount));
        buckets.max(self.window.ready_at(now, amount, quota))
    }

    /// The instant at which `amount` will go behind `ahead`, at today's rate.
    pub(crate) fn predicted(&self, now: Nanos, ahead: u64, amount: u64) -> Nanos {
        let quota = self.allowed().max(amount).max(1);
        let all = ahead.saturating_add(amount);
        match &self.buckets {
            Some(buckets) => buckets.serves_at(ahead, amount).max(self.window.ready_at(
                now,
                all.min(quota),
                quota,
            )),
            None => {
                let windows = all.saturating_sub(1) / quota;
                self.window
                    .ready_at(now, all - windows * quota, quota)
                    .saturating_add(windows.saturating_mul(self.window.length()))
            }
        }
    }

    /// Charges `amount` now and says where.
    #[inline]
    pub(crate) fn take(&mut self, amount: u64) -> SlotNumber {
        if let Some(buckets) = &mut self.buckets {
            buckets.take(amount);
        }
        self.window.charge(amount)
    }

    /// What was charged as `charged` turned out to be `actual`.
    ///
    /// However much that is, it holds up calls for two windows at most: the bucket owes no more, and
    /// a slot leaves the window after one.
    #[inline]
    pub(crate) fn correct(&mut self, slot: SlotNumber, charged: u64, actual: u64) {
        if let Some(buckets) = &mut self.buckets {
            match charged.checked_sub(actual) {
                Some(refund) => buckets.give(refund),
                None => buckets.take(actual - charged),
            }
        }
        self.window.correct(slot, charged, actual);
    }

    /// The present slot.
    pub(crate) fn slot(&self) -> SlotNumber {
        self.window.newest()
    }

    /// The first instant that belongs to another slot.
    pub(crate) fn slot_ends(&self) -> Nanos {
        self.window.newest_ends()
    }

    /// Moves a charge to the present slot.
    pub(crate) fn redate(&mut self, slot: SlotNumber, amount: u64) -> SlotNumber {
        self.window.refund(slot, amount);
        self.window.charge(amount)
    }

    /// The instant at which what is saved is at its most, and what flows in begins to be lost.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.buckets
            .as_ref()
            .map_or(crate::units::NEVER, Buckets::fills_at)
    }

    pub(crate) fn snapshot(&self) -> GateSnapshot {
        GateSnapshot {
            quota: self.quota,
            used: self.window.sum(),
            level: self.buckets.as_ref().map(Buckets::level),
            believed: self.believed(),
            rate_percent: self.share.fraction().percent(),
        }
    }
}
