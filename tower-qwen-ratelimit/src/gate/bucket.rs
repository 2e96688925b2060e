use crate::units::{NEVER, Nanos};

/// The most that a bucket owes, in windows of its quota.
// One window is what a call may cost, and an honest answer that was estimated much too low may owe
// another. More than that is a mistake in the provider's figures, and must not close an account for
// years.
const MOST_OWED: u64 = 2;

/// A bucket that refills evenly and may owe.
///
/// It is counted in amount x nanoseconds of the window, so that refilling is exact: in one nanosecond
/// it gains `rate` units, and one request or token is worth `window` units.
// 128 bits: a product of two 64-bit numbers fits.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Bucket {
    /// What it lacks until it is full; more than its capacity while it owes.
    // Not its level: that has a sign, and two ends at which it is cut. A call changes it four times,
    // and this takes half the instructions.
    missing: u128,
    /// As long as it lacks no more than this, it holds a burst: a call of any cost may go, and then
    /// owes the rest.
    spare: u128,
    capacity: u128,
    /// What it lacks when it owes the most.
    most_missing: u128,
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
            missing: 0,
            spare: 0,
            capacity: 0,
            most_missing: most_owed(rate, window),
            rate,
            window,
            at: now,
        };
        bucket.set_capacity(capacity, burst);
        bucket.missing = bucket.spare;
        bucket
    }

    /// How long it has not been refilled.
    #[inline]
    pub(crate) fn since(&self, now: Nanos) -> u64 {
        now.saturating_sub(self.at)
    }

    /// Refills up to `now`, which is so long since the last time.
    #[inline]
    pub(crate) fn gain(&mut self, since: u64, now: Nanos) {
        self.give(units(self.rate, since));
        self.at = self.at.max(now);
    }

    /// What `amount` is worth in units.
    #[inline]
    pub(crate) fn units_of(&self, amount: u64) -> u128 {
        units(amount, self.window)
    }

    /// Takes so many units; the level may fall below nothing, by two windows of the quota.
    #[inline]
    pub(crate) fn take(&mut self, units: u128) {
        // Saturating: a cost that makes no sense becomes a debt, not a credit.
        self.missing = self.missing.saturating_add(units).min(self.most_missing);
    }

    /// Gives so many units back; what the bucket cannot hold is lost.
    #[inline]
    pub(crate) fn give(&mut self, units: u128) {
        self.missing = self.missing.saturating_sub(units);
    }

    /// Gains nothing before `until`.
    pub(crate) fn freeze_until(&mut self, until: Nanos) {
        self.at = self.at.max(until);
    }

    /// Gains from `at` on, if it was frozen for longer. Returns by how much sooner that is.
    pub(crate) fn thaw_at(&mut self, at: Nanos) -> u64 {
        let sooner = self.at.saturating_sub(at);
        self.at = self.at.min(at);
        sooner
    }

    /// The first instant at which `amount` may go. An amount above the burst goes at a level of one
    /// burst, and then owes the rest.
    #[inline]
    pub(crate) fn ready_at(&self, amount: u64) -> Nanos {
        // By far the most frequent case, where the amount makes no difference.
        match self.missing <= self.spare {
            true => self.at,
            false => self.reaches(self.needed_by(amount)),
        }
    }

    /// The first instant at which `amount` may go behind `ahead`, as long as the bucket is never
    /// full in between.
    pub(crate) fn serves_at(&self, ahead: u64, amount: u64) -> Nanos {
        let own = self.needed_by(amount);
        self.reaches(self.units_of(ahead).saturating_add(own))
    }

    /// Changes the rate from now on. Refill it first.
    pub(crate) fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// Changes what the bucket holds at most, and what of it is a burst, from now on.
    pub(crate) fn set_capacity(&mut self, capacity: u64, burst: u64) {
        let burst = burst.max(1);
        let before = self.capacity;
        let most_owed = self.most_missing - before;
        self.capacity = self.units_of(capacity.max(burst));
        self.spare = self.capacity - self.units_of(burst);
        self.most_missing = self.capacity.saturating_add(most_owed);
        // The level stays, as far as there is room for it.
        self.missing = match self.capacity.checked_sub(before) {
            Some(more) => self.missing.saturating_add(more),
            None => self.missing.saturating_sub(before - self.capacity),
        };
    }

    /// Begins anew under another quota of a window: what was owed is forgiven.
    pub(crate) fn set_quota(&mut self, quota: u64) {
        self.most_missing = self.capacity.saturating_add(most_owed(quota, self.window));
        self.missing = self.missing.min(self.capacity);
    }

    /// Lowers the level to `amount`, if it is higher.
    pub(crate) fn lower_to(&mut self, amount: u64) {
        let missing = self.capacity.saturating_sub(self.units_of(amount));
        self.missing = self.missing.max(missing);
    }

    /// Whether it holds less than this part of what it can.
    pub(crate) fn is_below(&self, part: u128) -> bool {
        self.missing > self.capacity - self.capacity / part
    }

    /// When the bucket is full.
    #[cfg(test)]
    pub(crate) fn fills_at(&self) -> Nanos {
        self.reaches(self.capacity)
    }

    /// Whole requests or tokens in the bucket; negative while it owes.
    pub(crate) fn level(&self) -> i64 {
        let window = u128::from(self.window);
        match self.capacity.checked_sub(self.missing) {
            Some(held) => i64::try_from(held / window).unwrap_or(i64::MAX),
            // Rounded down, as above: away from nothing.
            None => {
                let owed = (self.missing - self.capacity).div_ceil(window);
                i64::try_from(owed).map_or(i64::MIN, |owed| -owed)
            }
        }
    }

    /// The level at which `amount` may go.
    fn needed_by(&self, amount: u64) -> u128 {
        self.units_of(amount).min(self.capacity - self.spare)
    }

    /// The first instant at which it holds this level.
    // Apart, so that it takes no registers from the calls that go at once.
    #[inline(never)]
    fn reaches(&self, level: u128) -> Nanos {
        let lacks = match self.missing.checked_sub(self.capacity) {
            Some(owed) => owed.saturating_add(level),
            None => level.saturating_sub(self.capacity - self.missing),
        };
        if lacks == 0 {
            return self.at;
        }
        // Also spares the division by nothing.
        if self.rate == 0 {
            return NEVER;
        }
        // Rounded up: an instant too early would not fit.
        let wait = lacks.div_ceil(u128::from(self.rate));
        u64::try_from(wait).map_or(NEVER, |wait| self.at.saturating_add(wait))
    }
}

fn most_owed(quota: u64, window: u64) -> u128 {
    units(quota.saturating_mul(MOST_OWED), window)
}

#[inline]
fn units(amount: u64, nanos: u64) -> u128 {
    u128::from(amount) * u128::from(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// By amounts and instants, as for one bucket alone.
    impl Bucket {
        fn advance(&mut self, now: Nanos) {
            self.gain(self.since(now), now);
        }

        fn charge(&mut self, amount: u64) {
            self.take(self.units_of(amount));
        }
    }

    /// One that has spent what it begins with.
    fn spent(rate: u64, window: u64, capacity: u64, burst: u64) -> Bucket {
        let mut bucket = Bucket::new(rate, window, capacity, burst, 0);
        bucket.missing = bucket.capacity;
        bucket
    }

    #[test]
    fn starts_with_a_burst_and_refills_evenly() {
        let mut bucket = Bucket::new(60, 60 * SECOND, 10, 2, 0);
        assert_eq!((bucket.level(), bucket.ready_at(50)), (2, 0));
        bucket.charge(2);
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
        bucket.charge(50);
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
                    0 => bucket.charge(amount),
                    1 => bucket.give(bucket.units_of(amount)),
                    2 => bucket.freeze_until(amount),
                    // Not before the instant up to which it was filled.
                    3 => { bucket.thaw_at(amount.max(now)); }
                    _ => { bucket.set_rate(amount); }
                }
                prop_assert!(bucket.ready_at(amount) >= bucket.at);
                prop_assert!(bucket.serves_at(amount, amount) >= bucket.ready_at(amount));
                prop_assert!(bucket.spare <= bucket.capacity);
                prop_assert!(bucket.missing <= bucket.most_missing);
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
                bucket.charge(*cost);
            }
            prop_assert!(i128::from(bucket.level()) >= -2 * i128::from(quota));
            let fills = units(capacity, window).div_ceil(u128::from(quota));
            prop_assert!(u128::from(bucket.ready_at(amount)) <= 2 * u128::from(window) + fills + 1);
            bucket.set_quota(quota);
            prop_assert_eq!(bucket.level(), 0);
        }

        #[test]
        fn the_stated_instant_is_the_first_that_fits(
            rate in 1..1_000_000u64, window in 1..100 * SECOND, capacity in 1..10_000u64, owed in 0..10_000u64, amount in 1..10_000u64
        ) {
            let mut bucket = spent(rate, window, capacity.saturating_mul(2), capacity);
            bucket.charge(owed);
            let at = bucket.ready_at(amount);
            let need = units(amount, window).min(units(capacity, window));
            bucket.advance(at.saturating_sub(1));
            prop_assert!(at == 0 || bucket.missing + need > bucket.capacity);
            bucket.advance(at);
            prop_assert!(bucket.missing + need <= bucket.capacity);
        }
    }
}
