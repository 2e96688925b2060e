use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const DAY: u64 = 86_400;

/// A day in UTC. Written as `2026-11-23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(
    /// Whole days since 1970-01-01.
    u64,
);

/// A moment in UTC. Written as `2026-11-23T05:17:38.042Z`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp(pub(super) SystemTime);

impl Day {
    /// The day of a moment. What is before 1970 counts as its first day.
    #[must_use]
    pub fn of(at: SystemTime) -> Self {
        Self(since_epoch(at).as_secs() / DAY)
    }

    /// The moment at which the next day begins.
    #[must_use]
    pub fn end(self) -> SystemTime {
        let seconds = self.0.saturating_add(1).saturating_mul(DAY);
        UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .unwrap_or(UNIX_EPOCH)
    }

    /// Year, month and day. Years are counted from March, so that the leap day is the last.
    fn date(self) -> (u64, u64, u64) {
        // Days of 400 years: then the calendar repeats. 719,468 is 1970-01-01 counted from
        // 0000-03-01.
        const ERA: u64 = 146_097;
        let days = self.0.saturating_add(719_468);
        let (era, day) = (days / ERA, days % ERA);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // From March on, every five months have 153 days.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let year = year + era * 400;
        if month < 10 {
            (year, month + 3, day)
        } else {
            (year + 1, month - 9, day)
        }
    }
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = since_epoch(self.0);
        let second = since.as_secs() % DAY;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let day = Day::of(self.0);
        let milli = since.subsec_millis();
        write!(f, "{day}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_780, "2026-11-23"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(Day(days).to_string(), date, "{days}");
            assert_eq!(Day::of(at(days * DAY)), Day(days));
            assert_eq!(Day::of(at(days * DAY + DAY - 1)), Day(days));
            assert_eq!(Day(days).end(), at((days + 1) * DAY));
        }
    }

    #[test]
    fn moments_are_written_to_the_millisecond() {
        let moment = at(20_780 * DAY + 5 * 3_600 + 17 * 60 + 38) + Duration::from_micros(42_999);
        assert_eq!(Timestamp(moment).to_string(), "2026-11-23T05:17:38.042Z");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Timestamp(before).to_string(), "1970-01-01T00:00:00.000Z");
    }

    proptest::proptest! {
        /// Against the dates of HTTP, which another crate writes.
        #[test]
        fn dates_are_those_of_another_crate(seconds in 0_u64..253_402_300_799) {
            let (year, month, day) = Day::of(at(seconds)).date();
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months[usize::try_from(month - 1).expect("small")];
            let http = httpdate::fmt_http_date(at(seconds));
            let date = format!(" {day:02} {month} {year:04} ");
            proptest::prop_assert!(http.contains(&date), "{http}, {date}");
        }
    }
}
