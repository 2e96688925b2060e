use super::bucket::Bucket;
use crate::{quota::Quota, units::Nanos};

/// Less saved than this part of the credit shows that what flows in is used.
const USED: u128 = 4;

/// The two buckets of an even pace. Each call takes its cost from both.
///
/// One saves what flows in and is not used, so that a dimension which waits for the other one loses
/// nothing. The other one bounds how fast that is spent.
// They differ in rate and capacity alone: window, burst and the instant of the latest refill are the
// same, so what a call costs in units, and the time that has gone by, are computed once for both.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Buckets {
    credit: Bucket,
    peak: Bucket,
    /// For how long the latest closures have kept them from gaining. Unit: nanoseconds.
    closed_for: u64,
}

/// What buckets hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// What can be used at once.
    pub(crate) burst: u64,
    /// What is saved.
    pub(crate) credit: u64,
}

impl Capacity {
    /// By the quota alone, of what flows in during a window.
    pub(crate) fn of(quota: &Quota, rate: u64) -> Self {
        let window = u128::from(quota.window_nanos());
        let in_time = |nanos: u64| {
            let amount = u128::from(rate) * u128::from(nanos) / window.max(1);
            u64::try_from(amount).unwrap_or(rate)
        };
        Self {
            burst: in_time(quota.burst_nanos()),
            credit: in_time(quota.credit_nanos()),
        }
    }
}

impl Buckets {
    /// Buckets that gain `rate` per `window` nanoseconds, and begin with one burst.
    pub(crate) fn new(rate: u64, window: u64, capacity: Capacity, now: Nanos) -> Self {
        let Capacity { burst, credit } = capacity;
        Self {
            credit: Bucket::new(rate, window, credit, burst, now),
            peak: Bucket::new(peak(rate), window, burst, burst, now),
            closed_for: 0,
        }
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let since = self.credit.since(now);
        self.credit.gain(since, now);
        self.peak.gain(since, now);
    }

    #[inline]
    pub(crate) fn take(&mut self, amount: u64) {
        let units = self.credit.units_of(amount);
        self.credit.take(units);
        self.peak.take(units);
    }

    #[inline]
    pub(crate) fn give(&mut self, amount: u64) {
        let units = self.credit.units_of(amount);
        self.credit.give(units);
        self.peak.give(units);
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

    /// The account is closed until then: what flows in goes to nobody, unless [`Buckets::end_closures`]
    /// saves it, and there is no burst when it opens.
    // What is saved stays: it is the peak that keeps it from going out at once.
    pub(crate) fn close_until(&mut self, until: Nanos) {
        let closed_for = self.credit.since(until);
        self.closed_for = self.closed_for.saturating_add(closed_for);
        self.credit.freeze_until(until);
        self.peak.lower_to(0);
        self.peak.freeze_until(until);
    }

    /// The account opens then, if it was to open later: from then on it is filled again.
    pub(crate) fn open_at(&mut self, at: Nanos) {
        let sooner = self.credit.thaw_at(at);
        self.closed_for = self.closed_for.saturating_sub(sooner);
        self.peak.thaw_at(at);
    }

    /// The closures are over. If `is_saved`, what would have flowed in meanwhile is saved.
    // The peak stays empty, so that it does not go out at once.
    pub(crate) fn end_closures(&mut self, is_saved: bool) {
        let closed_for = std::mem::take(&mut self.closed_for);
        if is_saved {
            self.credit.gain(closed_for, 0);
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const WINDOW: u64 = 60 * SECOND;
    const CAPACITY: Capacity = Capacity {
        burst: 5,
        credit: 120,
    };

    /// Ten a second, of which five may go at once.
    fn buckets() -> Buckets {
        Buckets::new(600, WINDOW, CAPACITY, 0)
    }

    /// Takes calls of `amount` as soon as they may go, until `end`. Returns how many.
    fn drain(buckets: &mut Buckets, now: Nanos, end: Nanos, amount: u64) -> u64 {
        buckets.advance(now);
        let mut calls = 0;
        loop {
            let at = buckets.ready_at(amount);
            if at >= end {
                return calls;
            }
            buckets.advance(at);
            buckets.take(amount);
            calls += 1;
        }
    }

    #[test]
    fn the_first_burst_goes_at_once_and_a_larger_call_too() {
        assert_eq!(drain(&mut buckets(), 0, 1, 1), 5);
        let mut large = buckets();
        assert_eq!(large.ready_at(500), 0);
        large.take(500);
        assert_eq!(large.level(), -495);
        // The next small one waits for what is owed, and a large one for a burst besides.
        assert_eq!(large.ready_at(1), 49_600_000_000);
        assert_eq!(large.ready_at(500), 50 * SECOND);
    }

    #[test]
    fn what_was_not_used_is_spent_later_at_one_and_a_half_times_the_rate() {
        let mut buckets = buckets();
        drain(&mut buckets, 0, 1, 1);
        buckets.advance(6 * SECOND);
        assert_eq!(buckets.level(), 60, "six seconds of ten");
        assert!(!buckets.is_used());
        let spent = drain(&mut buckets, 6 * SECOND, 7 * SECOND, 1);
        assert_eq!(spent, 5 + 14, "a burst, and what has come to a whole call");
        let long = drain(&mut buckets, 7 * SECOND, 60 * SECOND, 1);
        assert!((53 * 10..=53 * 10 + 55).contains(&long), "{long}");
        assert!(buckets.is_used());
        buckets.advance(600 * SECOND);
        assert_eq!(buckets.level(), 120, "no more than the credit is saved");
    }

    #[test]
    fn after_a_pause_there_is_neither_a_burst_nor_what_flowed_in() {
        let mut buckets = buckets();
        buckets.advance(3 * SECOND);
        let saved = buckets.level();
        buckets.close_until(20 * SECOND);
        assert_eq!(buckets.ready_at(1), 20 * SECOND + 66_666_667);
        buckets.advance(20 * SECOND);
        assert_eq!(buckets.level(), saved, "what was saved before stays");
        assert_eq!(drain(&mut buckets, 20 * SECOND, 21 * SECOND, 1), 14);
    }

    #[test]
    fn what_flowed_in_during_an_outage_is_saved_and_goes_out_no_faster_than_at_the_peak() {
        let mut buckets = buckets();
        buckets.close_until(4 * SECOND);
        buckets.advance(4 * SECOND);
        buckets.close_until(20 * SECOND);
        buckets.open_at(9 * SECOND);
        let mut after_throttles = buckets.clone();
        after_throttles.end_closures(false);
        assert_eq!(after_throttles.level(), 5);
        buckets.end_closures(true);
        assert_eq!(buckets.level(), 5 + 90, "nine seconds of ten");
        assert_eq!(drain(&mut buckets, 9 * SECOND, 10 * SECOND, 1), 14);
        // Each closure counts once.
        let saved = buckets.level();
        buckets.end_closures(true);
        assert_eq!(buckets.level(), saved);
    }

    proptest! {
        /// However calls come, no time sees more than the burst and what flows in at the peak, nor
        /// more than the credit and what flows in at the rate.
        #[test]
        fn no_time_sees_more_than_the_peak_and_the_credit_allow(
            rate in 60..100_000u64,
            burst in 1..200u64,
            credit in 1..20_000u64,
            calls in prop::collection::vec((1..200u64, 0..3 * SECOND, prop::option::of(0..10 * SECOND)), 1..60),
        ) {
            let credit = credit.max(burst);
            let mut buckets = Buckets::new(rate, WINDOW, Capacity { burst, credit }, 0);
            let mut now = 0;
            let mut sent: Vec<(Nanos, u64)> = Vec::new();
            for (amount, pause, closed) in calls {
                let amount = amount.min(burst);
                now += pause;
                buckets.advance(now);
                if let Some(closed) = closed {
                    buckets.close_until(now + closed);
                    let opens = buckets.ready_at(amount);
                    // Nothing but the peak's own flow goes from there on.
                    let alone = u128::from(amount) * u128::from(WINDOW) / u128::from(peak(rate));
                    prop_assert!(u128::from(opens) >= u128::from(now + closed) + alone);
                }
                now = buckets.ready_at(amount).max(now);
                buckets.advance(now);
                buckets.take(amount);
                sent.push((now, amount));
                for (first, (since, _)) in sent.iter().enumerate() {
                    let sum: u64 = sent[first..].iter().map(|(_, amount)| amount).sum();
                    let flowed = |rate: u64| u128::from(rate) * u128::from(now - since) / u128::from(WINDOW);
                    prop_assert!(u128::from(sum) <= u128::from(burst) + flowed(peak(rate)) + 1);
                    prop_assert!(u128::from(sum) <= u128::from(credit) + flowed(rate) + 1);
                }
            }
        }

        /// What the other dimension holds up is not lost, up to the credit.
        #[test]
        fn nothing_is_lost_below_the_credit(
            rate in 60..100_000u64,
            takes in prop::collection::vec((1..50u64, 0..SECOND), 1..50),
        ) {
            let mut buckets = Buckets::new(rate, WINDOW, Capacity { burst: 1, credit: u64::MAX }, 0);
            let (mut now, mut taken) = (0, 0);
            for (amount, pause) in takes {
                now += pause;
                buckets.advance(now);
                buckets.take(amount);
                taken += amount;
            }
            let flowed = i128::from(rate) * i128::from(now) - i128::from(taken) * i128::from(WINDOW);
            let level = (flowed + i128::from(WINDOW)).div_euclid(i128::from(WINDOW));
            prop_assume!(level > -2 * i128::from(rate));
            prop_assert_eq!(i128::from(buckets.level()), level);
        }
    }
}
