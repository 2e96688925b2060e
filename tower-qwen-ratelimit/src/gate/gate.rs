use crate::{
    adapt::{FULL, Share},
    gate::{Bucket, Nanos, Part, Slot, Window},
    quota::Quota,
    snapshot::GateSnapshot,
};

/// One dimension: an even flow, and never more than the quota in any window.
#[derive(Debug)]
pub(crate) struct Gate {
    quota: u64,
    /// What may go at once, by the quota alone.
    burst: u64,
    bucket: Option<Bucket>,
    window: Window,
    share: Share,
    /// The share of the rate that slow start allows, of [`FULL`].
    ramp: u32,
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
            share: Share::full(length, now),
            ramp: FULL,
            part: Part::whole(quota.is_smooth()),
            allowed: usable,
        }
    }

    /// Goes on under another quota, of the same window and pacing. What was charged stays charged.
    pub(crate) fn set_quota(&mut self, quota: &Quota, amount: u64) {
        self.quota = quota.usable(amount);
        self.burst = quota.burst_of(self.quota);
        self.set_ramp(self.ramp);
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        if let Some(bucket) = &mut self.bucket {
            bucket.advance(now);
        }
        self.window.advance(now);
        if self.share.advance(now) | self.part.advance(now) {
            self.follow();
        }
    }

    /// The quota of a window, less the headroom.
    pub(crate) fn usable(&self) -> u64 {
        self.quota
    }

    /// This process's part of it.
    pub(crate) fn own(&self) -> u64 {
        self.part.of(self.quota)
    }

    /// What of it may be used at present.
    pub(crate) fn allowed(&self) -> u64 {
        self.allowed
    }

    /// This process has a part of the account, and throttles have left the fleet `cap` of it; both of [`FULL`].
    pub(crate) fn set_part(&mut self, part: u32, cap: u32, now: Nanos) {
        self.part.set(part, cap, now, self.window.length());
        self.set_ramp(self.ramp);
    }

    /// What throttles have left, of [`FULL`].
    pub(crate) fn share(&self) -> u32 {
        self.share.share()
    }

    /// A throttle named this dimension.
    pub(crate) fn slow(&mut self, again: bool) {
        self.share.cut(again);
        self.follow();
    }

    /// Slow start allows this share of rate and burst, of [`FULL`].
    pub(crate) fn set_ramp(&mut self, share: u32) {
        self.ramp = share;
        if let Some(bucket) = &mut self.bucket {
            bucket.set_capacity(self.part.of(part(self.burst, share)));
        }
        self.follow();
    }

    /// The provider says how much is left, and when nothing of what was used counts any more. Lowers, never raises.
    pub(crate) fn told(&mut self, stated: Stated) {
        let limit = stated.limit.unwrap_or(self.quota).max(stated.remaining);
        let used = limit - stated.remaining;
        let unknown = used.saturating_sub(self.window.sum());
        let slot = self.window.leaving_at(stated.level_at);
        self.window.add(slot, unknown);
        if let Some(bucket) = &mut self.bucket {
            bucket.lower_to(stated.remaining);
        }
    }

    /// Follows what has changed.
    fn follow(&mut self) {
        let quota = self.share.of(self.quota).min(self.part.capped(self.quota));
        self.allowed = self.part.held_of(quota);
        if let Some(bucket) = &mut self.bucket {
            let rate = self.part.of(part(quota, self.ramp));
            bucket.set_rate(rate.max(self.quota.min(1)));
        }
    }

    /// The first instant at which `amount` may go.
    #[inline]
    pub(crate) fn ready_at(&self, now: Nanos, amount: u64) -> Nanos {
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
    pub(crate) fn take(&mut self, amount: u64) -> Slot {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(amount);
        }
        self.window.charge(amount)
    }

    /// What was charged as `charged` turned out to be `actual`.
    #[inline]
    pub(crate) fn correct(&mut self, slot: Slot, charged: u64, actual: u64) {
        if let Some(bucket) = &mut self.bucket {
            match charged.checked_sub(actual) {
                Some(refund) => bucket.give(refund),
                None => bucket.take(actual - charged),
            }
        }
        self.window.correct(slot, charged, actual);
    }

    /// The present slot.
    pub(crate) fn slot(&self) -> Slot {
        self.window.newest()
    }

    /// Nanoseconds of a slot.
    pub(crate) fn slot_width(&self) -> u64 {
        self.window.width()
    }

    /// The first instant that belongs to another slot.
    pub(crate) fn slot_ends(&self) -> Nanos {
        self.window.newest_ends()
    }

    /// Moves a charge to the present slot.
    pub(crate) fn redate(&mut self, slot: Slot, amount: u64) -> Slot {
        self.window.refund(slot, amount);
        self.window.charge(amount)
    }

    /// The instant at which the bucket is full and begins to lose what flows in.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.bucket
            .as_ref()
            .map_or(crate::gate::NEVER, |bucket| bucket.ready_at(u64::MAX))
    }

    pub(crate) fn snapshot(&self) -> GateSnapshot {
        GateSnapshot {
            quota: self.quota,
            used: self.window.sum(),
            level: self.bucket.as_ref().map(Bucket::level),
            rate_percent: self.share.percent(),
        }
    }
}

/// What a provider says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: u64,
    /// When the limit is level again.
    pub(crate) level_at: Nanos,
}

/// A share of an amount, of [`FULL`].
fn part(amount: u64, share: u32) -> u64 {
    let part = u128::from(amount) * u128::from(share) / u128::from(FULL);
    u64::try_from(part).unwrap_or(u64::MAX)
}
