use super::bucket::Bucket;
use crate::units::Nanos;

/// Less saved than this part of the credit shows that what flows in is used.
const USED: i128 = 4;

/// The two buckets of an even pace. Each call takes its cost from both.
///
/// One saves what flows in and is not used, so that a dimension which waits for the other one loses
/// nothing. The other one bounds how fast that is spent.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Buckets {
    credit: Bucket,
    peak: Bucket,
}

/// What buckets hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// What can be used at once.
    pub(crate) burst: u64,
    /// What is saved.
    pub(crate) credit: u64,
}

impl Buckets {
    /// Buckets that gain `rate` per `window` nanoseconds, and begin with one burst.
    pub(crate) fn new(rate: u64, window: u64, capacity: Capacity, now: Nanos) -> Self {
        let Capacity { burst, credit } = capacity;
        Self {
            credit: Bucket::new(rate, window, credit, burst, now),
            peak: Bucket::new(peak(rate), window, burst, burst, now),
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        self.credit.advance(now);
        self.peak.advance(now);
    }

    #[inline]
    pub(crate) fn take(&mut self, amount: u64) {
        self.credit.take(amount);
        self.peak.take(amount);
    }

    #[inline]
    pub(crate) fn give(&mut self, amount: u64) {
        self.credit.give(amount);
        self.peak.give(amount);
    }

    /// The first instant at which `amount` may go.
    #[inline]
    pub(crate) fn ready_at(&self, amount: u64) -> Nanos {
        self.credit.ready_at(amount).max(self.peak.ready_at(amount))
    }

    /// The first instant at which `amount` may go behind `ahead`.
    pub(crate) fn serves_at(&self, ahead: u64, amount: u64) -> Nanos {
        self.credit
            .serves_at(ahead, amount)
            .max(self.peak.serves_at(ahead, amount))
    }

    /// Changes the rate from now on. Call [`Buckets::advance`] first.
    pub(crate) fn set_rate(&mut self, rate: u64) {
        self.credit.set_rate(rate);
        self.peak.set_rate(peak(rate));
    }

    pub(crate) fn set_capacity(&mut self, capacity: Capacity) {
        let Capacity { burst, credit } = capacity;
        self.credit.set_capacity(credit, burst);
        self.peak.set_capacity(burst, burst);
    }

    /// Begins anew under another quota of a window: what was owed is forgiven.
    pub(crate) fn set_quota(&mut self, quota: u64) {
        self.credit.set_quota(quota);
        self.peak.set_quota(peak(quota));
    }

    /// Lowers what is saved to `amount`, if it is more.
    pub(crate) fn lower_to(&mut self, amount: u64) {
        self.credit.lower_to(amount);
        self.peak.lower_to(amount);
    }

    /// The account is closed until then: what flows in goes to nobody, and there is no burst when it
    /// opens.
    // What is saved stays: it is the peak that keeps it from going out at once.
    pub(crate) fn close_until(&mut self, until: Nanos) {
        self.credit.freeze_until(until);
        self.peak.lower_to(0);
        self.peak.freeze_until(until);
    }

    /// Whether little is saved: what flows in is used.
    pub(crate) fn is_used(&self) -> bool {
        self.credit.is_below(USED)
    }

    /// When the credit is full.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.credit.fills_at()
    }

    /// What of it can be used at once.
    #[cfg(test)]
    #[cfg(feature = "redis")]
    pub(crate) fn peak_level(&self) -> i64 {
        self.peak.level()
    }

    /// What is saved; negative while there is a debt.
    pub(crate) fn level(&self) -> i64 {
        self.credit.level()
    }
}

/// The rate at which saved quota is spent: one and a half times the rate.
// Fast enough to catch up with what a large call has held up, and slow enough that a sixtieth of the
// window sees no more than twice its share, with the burst (`quota::BURST`).
fn peak(rate: u64) -> u64 {
    rate.saturating_add(rate.div_ceil(2))
}
