use crate::units::{NEVER, Nanos};

/// One day.
const DAY: u64 = 86_400 * 1_000_000_000;

/// A day's number since the one in which the account's epoch lies.
pub(crate) type DayNumber = u64;

/// Never more than an amount on one day of the provider's calendar. Without a limit (`u64::MAX`)
/// nothing is counted.
#[derive(Debug)]
pub(crate) struct Day {
    limit: u64,
    used: u64,
    /// How much of its day has elapsed at the epoch.
    offset: u64,
    today: DayNumber,
}

impl Day {
    /// A day of which `offset` nanoseconds have elapsed at the epoch.
    pub(crate) fn new(limit: u64, offset: u64, now: Nanos) -> Self {
        let mut day = Self {
            limit,
            used: 0,
            offset: offset % DAY,
            today: 0,
        };
        day.advance(now);
        day
    }

    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        let today = now.saturating_add(self.offset) / DAY;
        // A clock that is set back does not give the day back.
        if today > self.today {
            self.today = today;
            self.used = 0;
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The first instant at which `amount` may go.
    #[inline]
    pub(crate) fn ready_at(&self, now: Nanos, amount: u64) -> Nanos {
        if self.used.saturating_add(amount) <= self.limit {
            now
        } else if amount <= self.limit {
            self.starts_at(self.today.saturating_add(1))
        } else {
            NEVER
        }
    }

    /// The instant at which `amount` will go behind `ahead`.
    pub(crate) fn predicted(&self, now: Nanos, ahead: u64, amount: u64) -> Nanos {
        let all = self.used.saturating_add(ahead).saturating_add(amount);
        if all <= self.limit {
            return now;
        }
        // A limit of nothing is never met: `None` of the division.
        match all.saturating_sub(1).checked_div(self.limit) {
            Some(days) => self.starts_at(self.today.saturating_add(days)),
            None => NEVER,
        }
    }

    #[inline]
    pub(crate) fn charge(&mut self, amount: u64) -> DayNumber {
        // Without a limit nothing is counted, so that a sum without a reader cannot saturate.
        if self.limit != u64::MAX {
            self.used = self.used.saturating_add(amount);
        }
        self.today
    }

    /// When the day is over; never where nothing is counted.
    pub(crate) fn ends(&self) -> Nanos {
        match self.limit {
            u64::MAX => NEVER,
            _ => self.starts_at(self.today.saturating_add(1)),
        }
    }

    /// What was charged as `charged` turned out to be `actual`; nothing changes once that day is
    /// over.
    #[inline]
    pub(crate) fn correct(&mut self, day: DayNumber, charged: u64, actual: u64) {
        if day == self.today && self.limit != u64::MAX {
            self.used = self.used.saturating_add(actual).saturating_sub(charged);
        }
    }

    fn starts_at(&self, day: DayNumber) -> Nanos {
        day.saturating_mul(DAY).saturating_sub(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_used_up_comes_back_at_midnight() {
        let mut day = Day::new(100, DAY - 10, 0);
        let today = day.charge(80);
        assert_eq!(day.ready_at(0, 20), 0);
        assert_eq!(day.ready_at(0, 21), 10);
        assert_eq!(day.ready_at(0, 101), NEVER);
        day.correct(today, 80, 90);
        assert_eq!(day.ready_at(0, 11), 10);
        day.advance(10);
        assert_eq!((day.used(), day.ready_at(10, 100)), (0, 10));
        day.correct(today, 90, 0);
        assert_eq!(
            day.used(),
            0,
            "yesterday's correction changes nothing today"
        );
    }

    #[test]
    fn what_stands_ahead_takes_days() {
        let day = Day::new(100, 0, 0);
        assert_eq!(day.predicted(5, 50, 50), 5);
        assert_eq!(day.predicted(5, 51, 50), DAY);
        assert_eq!(day.predicted(5, 250, 50), 2 * DAY);
        assert_eq!(Day::new(0, 0, 0).predicted(5, 0, 1), NEVER);
    }

    proptest! {
        #[test]
        fn no_input_overflows(
            limit: u64, offset: u64, steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 0..20)
        ) {
            let mut day = Day::new(limit, offset, 0);
            let mut now = 0;
            for (at, amount, actual) in steps {
                now = now.max(at);
                day.advance(now);
                let ready = day.ready_at(now, amount);
                prop_assert!(ready >= now || ready == day.starts_at(day.today.saturating_add(1)));
                let number = day.charge(amount);
                day.correct(number, amount, actual);
                prop_assert!(day.predicted(now, amount, actual) >= now.min(day.starts_at(day.today)));
            }
        }

        #[test]
        fn no_day_holds_more_than_the_limit(
            limit in 1..1_000u64, requests in prop::collection::vec((1..500u64, 0..DAY), 1..50)
        ) {
            let mut day = Day::new(limit, 12_345, 0);
            let mut now = 0;
            for (amount, pause) in requests {
                now += pause;
                day.advance(now);
                let amount = amount.min(limit);
                now = day.ready_at(now, amount);
                day.advance(now);
                day.charge(amount);
                prop_assert!(day.used() <= limit);
            }
        }
    }
}
