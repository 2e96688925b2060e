use crate::units::{NEVER, Nanos};

/// The most that a bucket owes, in windows of its quota.
// One window is what a call may cost, and an honest answer that was estimated much too low may owe
// another. More than that is a mistake in the provider's figures, and must not close an account for
// years.
const MOST_OWED: u64 = 2;

/// A bucket that refills evenly and may owe.
///
/// The level is kept in amount x nanoseconds of the window, so that refilling is exact: in one
/// nanosecond it gains `rate` units, and one request or token is worth `window` units.
// 128 bits: a product of two 64-bit numbers fits, and debt may grow without overflowing.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Bucket {
    level: i128,
    capacity: i128,
    /// The level at which a call of any cost may go; it then owes the rest.
    enough: i128,
    /// The lowest level.
    lowest: i128,
    /// Amount per window.
    rate: u64,
    window: u64,
    at: Nanos,
}

impl Bucket {
    /// A bucket that gains `rate` per `window` nanoseconds, holds at most `capacity`, and lets go a
    /// call of any cost at a level of `burst`, which it begins with: the first call goes at once.
    /// Neither is less than 1, and the capacity not less than the burst.
    pub(crate) fn new(rate: u64, window: u64, capacity: u64, burst: u64, now: Nanos) -> Self {
        let window = window.max(1);
        let mut bucket = Self {
            level: 0,
            capacity: 0,
            enough: 0,
            lowest: lowest(rate, window),
            rate,
            window,
            at: now,
        };
        bucket.set_capacity(capacity, burst);
        bucket.level = bucket.enough;
        bucket
    }

    /// Refills up to `now`.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let gained = units(self.rate, now.saturating_sub(self.at));
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Takes `amount`; the level may fall below nothing, by two windows of the quota.
    #[inline]
    pub(crate) fn take(&mut self, amount: u64) {
        // Saturating: a cost that makes no sense becomes a debt, not a credit.
        let level = self.level.saturating_sub(units(amount, self.window));
        self.level = level.max(self.lowest);
    }

    /// Gives `amount` back; what the bucket cannot hold is lost.
    #[inline]
    pub(crate) fn give(&mut self, amount: u64) {
        self.level = self
            .level
            .saturating_add(units(amount, self.window))
            .min(self.capacity);
    }

    /// Gains nothing before `until`.
    pub(crate) fn freeze_until(&mut self, until: Nanos) {
        self.at = self.at.max(until);
    }

    /// Gains from `at` on, if it was frozen for longer.
    pub(crate) fn thaw_at(&mut self, at: Nanos) {
        self.at = self.at.min(at);
    }

    /// The first instant at which `amount` may go. An amount above the burst goes at a level of one
    /// burst, and then owes the rest.
    #[inline]
    pub(crate) fn ready_at(&self, amount: u64) -> Nanos {
        self.reaches(units(amount, self.window).min(self.enough))
    }

    /// The first instant at which `amount` may go behind `ahead`, as long as the bucket is never
    /// full in between.
    pub(crate) fn serves_at(&self, ahead: u64, amount: u64) -> Nanos {
        let own = units(amount, self.window).min(self.enough);
        self.reaches(units(ahead, self.window).saturating_add(own))
    }

    /// Changes the rate from now on. Call [`Bucket::advance`] first.
    pub(crate) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// Changes what the bucket holds at most, and what of it is a burst, from now on.
    pub(crate) fn set_capacity(&mut self, capacity: u64, burst: u64) {
        let burst = burst.max(1);
        self.enough = units(burst, self.window);
        self.capacity = units(capacity.max(burst), self.window);
        self.level = self.level.min(self.capacity);
    }

    /// Begins anew under another quota of a window: what was owed is forgiven.
    pub(crate) fn set_quota(&mut self, quota: u64) {
        self.lowest = lowest(quota, self.window);
        self.level = self.level.max(0);
    }

    /// Lowers the level to `amount`, if it is higher.
    pub(crate) fn lower_to(&mut self, amount: u64) {
        self.level = self.level.min(units(amount, self.window));
    }

    /// Whether it holds less than this part of what it can.
    pub(crate) fn is_below(&self, part: i128) -> bool {
        self.level < self.capacity / part
    }

    /// When the bucket is full.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.reaches(self.capacity)
    }

    /// Whole requests or tokens in the bucket; negative while it owes.
    pub(crate) fn level(&self) -> i64 {
        let whole = self.level.div_euclid(i128::from(self.window));
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }

    #[inline]
    fn reaches(&self, level: i128) -> Nanos {
        let missing = level.saturating_sub(self.level);
        if missing <= 0 {
            return self.at;
        }
        // Also spares the division by nothing.
        if self.rate == 0 {
            return NEVER;
        }
        // Rounded up: an instant too early would not fit.
        let wait = missing.unsigned_abs().div_ceil(u128::from(self.rate));
        u64::try_from(wait).map_or(NEVER, |wait| self.at.saturating_add(wait))
    }
}

fn lowest(quota: u64, window: u64) -> i128 {
    // A product that does not fit is at most the greatest, whose negative does fit.
    -units(quota.saturating_mul(MOST_OWED), window)
}

#[inline]
fn units(amount: u64, nanos: u64) -> i128 {
    i128::try_from(u128::from(amount) * u128::from(nanos)).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// One that has spent what it begins with.
    fn spent(rate: u64, window: u64, capacity: u64, burst: u64) -> Bucket {
        let mut bucket = Bucket::new(rate, window, capacity, burst, 0);
        bucket.level = 0;
        bucket
    }

    #[test]
    fn starts_with_a_burst_and_refills_evenly() {
        let mut bucket = Bucket::new(60, 60 * SECOND, 10, 2, 0);
        assert_eq!((bucket.level(), bucket.ready_at(50)), (2, 0));
        bucket.take(2);
        assert_eq!(bucket.ready_at(0), 0);
        assert_eq!(bucket.ready_at(1), SECOND);
        bucket.advance(SECOND - 1);
        assert_eq!(bucket.level(), 0);
        bucket.advance(SECOND);
        assert_eq!(bucket.level(), 1);
        bucket.advance(3600 * SECOND);
        assert_eq!(bucket.level(), 10);
    }

    #[test]
    fn an_amount_above_the_burst_waits_for_one_burst_and_owes_the_rest() {
        let mut bucket = spent(60, 60 * SECOND, 30, 10);
        assert_eq!(bucket.ready_at(50), 10 * SECOND);
        bucket.advance(10 * SECOND);
        bucket.take(50);
        assert_eq!(bucket.level(), -40);
        assert_eq!(bucket.ready_at(1), 51 * SECOND);
        assert_eq!(bucket.serves_at(19, 1), 70 * SECOND);
    }

    #[test]
    fn a_frozen_bucket_gains_nothing() {
        let mut bucket = spent(60, 60 * SECOND, 30, 10);
        bucket.freeze_until(20 * SECOND);
        assert_eq!(bucket.ready_at(1), 21 * SECOND);
        bucket.advance(20 * SECOND);
        assert_eq!(bucket.level(), 0);
        bucket.freeze_until(SECOND);
        bucket.advance(25 * SECOND);
        assert_eq!(
            bucket.level(),
            5,
            "an instant that has gone by freezes nothing"
        );
    }

    #[test]
    fn a_rate_of_nothing_never_serves() {
        let bucket = spent(0, SECOND, 10, 10);
        assert_eq!(bucket.ready_at(1), NEVER);
        assert_eq!(bucket.ready_at(0), 0);
    }

    proptest! {
        #[test]
        fn no_input_overflows(
            rate: u64, window: u64, capacity: u64, burst: u64, steps in prop::collection::vec((any::<u64>(), any::<u64>(), 0..5u8), 0..20)
        ) {
            let mut bucket = Bucket::new(rate, window, capacity, burst, 0);
            for (now, amount, action) in steps {
                bucket.advance(now);
                match action {
                    0 => bucket.take(amount),
                    1 => bucket.give(amount),
                    2 => bucket.freeze_until(amount),
                    // Not before the instant up to which it was filled.
                    3 => bucket.thaw_at(amount.max(now)),
                    _ => { bucket.set_rate(amount); }
                }
                prop_assert!(bucket.ready_at(amount) >= bucket.at);
                prop_assert!(bucket.serves_at(amount, amount) >= bucket.ready_at(amount));
                prop_assert!(bucket.level <= bucket.capacity);
                prop_assert!(bucket.level >= bucket.lowest);
            }
        }

        /// Whatever calls cost, the next one waits for two windows, one burst and its rounding.
        #[test]
        fn at_most_two_windows_are_owed(
            quota in 1..1_000_000u64,
            window in 1_000_000..100 * SECOND,
            capacity in 1..10_000u64,
            costs in prop::collection::vec(any::<u64>(), 1..20),
            amount: u64,
        ) {
            let capacity = capacity.min(quota);
            let mut bucket = Bucket::new(quota, window, quota, capacity, 0);
            for cost in &costs {
                bucket.take(*cost);
            }
            prop_assert!(i128::from(bucket.level()) >= -2 * i128::from(quota));
            let fills = units(capacity, window).unsigned_abs().div_ceil(u128::from(quota));
            prop_assert!(u128::from(bucket.ready_at(amount)) <= 2 * u128::from(window) + fills + 1);
            bucket.set_quota(quota);
            prop_assert_eq!(bucket.level(), 0);
        }

        #[test]
        fn the_stated_instant_is_the_first_that_fits(
            rate in 1..1_000_000u64, window in 1..100 * SECOND, capacity in 1..10_000u64, owed in 0..10_000u64, amount in 1..10_000u64
        ) {
            let mut bucket = spent(rate, window, capacity.saturating_mul(2), capacity);
            bucket.take(owed);
            let at = bucket.ready_at(amount);
            let need = units(amount, window).min(bucket.enough);
            bucket.advance(at.saturating_sub(1));
            prop_assert!(at == 0 || bucket.level < need);
            bucket.advance(at);
            prop_assert!(bucket.level >= need);
        }
    }
}
