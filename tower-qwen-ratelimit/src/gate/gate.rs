#[cfg(feature = "redis")]
use super::part::Part;
use super::{
    bucket::Bucket,
    window::{SlotNumber, Window},
};
use crate::{
    adapt::{RateShare, Recurrence},
    quota::Quota,
    snapshot::GateSnapshot,
    units::{Fraction, Nanos},
};

/// The gate of one dimension, requests or tokens: an even flow, and never more than the quota in
/// any window.
#[derive(Debug)]
pub(crate) struct Gate {
    quota: u64,
    /// What may go in one burst, by the quota alone.
    burst: u64,
    bucket: Option<Bucket>,
    window: Window,
    share: RateShare,
    /// What slow start allows of rate and burst.
    slow_start: Fraction,
    #[cfg(feature = "redis")]
    part: Part,
    /// What the window may hold at present.
    allowed: u64,
}

impl Gate {
    pub(crate) fn new(quota: &Quota, amount: u64, now: Nanos) -> Self {
        let length = quota.window_nanos();
        let usable = quota.usable(amount);
        let burst = quota.burst_of(usable);
        let bucket = quota
            .is_smooth()
            .then(|| Bucket::empty(usable, length, burst, now));
        let mut window = Window::new(length);
        window.advance(now);
        Self {
            quota: usable,
            burst,
            bucket,
            window,
            share: RateShare::whole(length, now),
            slow_start: Fraction::WHOLE,
            #[cfg(feature = "redis")]
            part: Part::whole(quota.is_smooth()),
            allowed: usable,
        }
    }

    /// Goes on under another quota, of the same window and pacing. What was charged within the
    /// window stays charged; what is owed beyond it is forgiven.
    pub(crate) fn set_quota(&mut self, quota: &Quota, amount: u64) {
        self.quota = quota.usable(amount);
        self.burst = quota.burst_of(self.quota);
        if let Some(bucket) = &mut self.bucket {
            bucket.set_quota(self.quota);
        }
        self.set_slow_start(self.slow_start);
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        if let Some(bucket) = &mut self.bucket {
            bucket.advance(now);
        }
        self.window.advance(now);
        let is_changed = self.share.advance(now);
        #[cfg(feature = "redis")]
        let is_changed = is_changed | self.part.advance(now);
        if is_changed {
            self.follow();
        }
    }

    /// The quota of a window, less the headroom.
    pub(crate) fn usable(&self) -> u64 {
        self.quota
    }

    /// This process's part of it.
    pub(crate) fn own(&self) -> u64 {
        self.own_part(self.quota)
    }

    /// What of it may be used at present.
    pub(crate) fn allowed(&self) -> u64 {
        self.allowed
    }

    /// This process has a part of the account, and throttles have left the fleet `cap` of it.
    #[cfg(feature = "redis")]
    pub(crate) fn set_part(&mut self, part: Fraction, cap: Fraction, now: Nanos) {
        self.part.set(part, cap, now, self.window.length());
        self.set_slow_start(self.slow_start);
    }

    /// What throttles have left of the quota.
    #[cfg(feature = "redis")]
    pub(crate) fn share(&self) -> Fraction {
        self.share.fraction()
    }

    /// A throttle named this dimension.
    pub(crate) fn on_throttle(&mut self, recurrence: Recurrence) {
        self.share.cut(recurrence);
        self.follow();
    }

    /// Slow start allows this share of rate and burst.
    pub(crate) fn set_slow_start(&mut self, share: Fraction) {
        self.slow_start = share;
        let burst = self.own_part(share.of(self.burst));
        if let Some(bucket) = &mut self.bucket {
            bucket.set_capacity(burst);
        }
        self.follow();
    }

    /// Lowers the gate to what the provider says is left; never raises it, since calls under way
    /// are missing in that.
    pub(crate) fn lower_to(&mut self, level: ProviderLevel) {
        let limit = level.limit.unwrap_or(self.quota).max(level.remaining);
        let used = limit - level.remaining;
        // What the provider counts beyond our own count: others use the same account.
        let unknown = used.saturating_sub(self.window.sum());
        let slot = self.window.leaving_at(level.reset_at);
        self.window.add(slot, unknown);
        if let Some(bucket) = &mut self.bucket {
            bucket.lower_to(level.remaining);
        }
    }

    /// Computes rate and window anew after a change of quota, share or part.
    fn follow(&mut self) {
        let quota = self.share.of(self.quota);
        #[cfg(feature = "redis")]
        let quota = quota.min(self.part.capped(self.quota));
        self.allowed = quota;
        #[cfg(feature = "redis")]
        {
            self.allowed = self.part.held_of(quota);
        }
        let rate = self.own_part(self.slow_start.of(quota));
        if let Some(bucket) = &mut self.bucket {
            // Never nothing of something: the bucket would never fill again.
            bucket.set_rate(rate.max(self.quota.min(1)));
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
        let bucket = self
            .bucket
            .as_ref()
            .map_or(now, |bucket| bucket.ready_at(amount));
        bucket.max(self.window.ready_at(now, amount, quota))
    }

    /// The instant at which `amount` will go behind `ahead`, at today's rate.
    pub(crate) fn predicted(&self, now: Nanos, ahead: u64, amount: u64) -> Nanos {
        let quota = self.allowed().max(amount).max(1);
        let all = ahead.saturating_add(amount);
        match &self.bucket {
            Some(bucket) => bucket.serves_at(ahead, amount).max(self.window.ready_at(
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
        if let Some(bucket) = &mut self.bucket {
            bucket.take(amount);
        }
        self.window.charge(amount)
    }

    /// What was charged as `charged` turned out to be `actual`.
    ///
    /// However much that is, it holds up calls for two windows at most: the bucket owes no more, and
    /// a slot leaves the window after one.
    #[inline]
    pub(crate) fn correct(&mut self, slot: SlotNumber, charged: u64, actual: u64) {
        if let Some(bucket) = &mut self.bucket {
            match charged.checked_sub(actual) {
                Some(refund) => bucket.give(refund),
                None => bucket.take(actual - charged),
            }
        }
        self.window.correct(slot, charged, actual);
    }

    /// The present slot.
    pub(crate) fn slot(&self) -> SlotNumber {
        self.window.newest()
    }

    /// Nanoseconds of a slot.
    #[cfg(feature = "redis")]
    pub(crate) fn slot_width(&self) -> u64 {
        self.window.width()
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

    /// The instant at which the bucket is full and begins to lose what flows in.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.bucket
            .as_ref()
            .map_or(crate::units::NEVER, |bucket| bucket.ready_at(u64::MAX))
    }

    pub(crate) fn snapshot(&self) -> GateSnapshot {
        GateSnapshot {
            quota: self.quota,
            used: self.window.sum(),
            level: self.bucket.as_ref().map(Bucket::level),
            rate_percent: self.share.fraction().percent(),
        }
    }
}

/// What a provider says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProviderLevel {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: u64,
    /// When nothing of what was used counts any more.
    pub(crate) reset_at: Nanos,
}
