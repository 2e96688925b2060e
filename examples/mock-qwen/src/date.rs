//! Wall time as a calendar has it.

use std::time::{Duration, SystemTime};

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Date {
    /// The date `ahead` hours ahead of UTC, rounded up to a whole second, as resets are stated.
    pub(crate) fn of(at: SystemTime, ahead: u64) -> Self {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .saturating_add(Duration::from_nanos(999_999_999));
        let seconds = since.as_secs().saturating_add(ahead * 3_600);
        let (year, month, day) = civil(seconds / 86_400);
        Self {
            year,
            month,
            day,
            hour: seconds / 3_600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    /// `2026-11-29 12:00:00`.
    pub(crate) fn full(self) -> String {
        format!("{}-{}", self.year, self.short())
    }

    /// `11-29 12:00:00`.
    pub(crate) fn short(self) -> String {
        format!(
            "{:02}-{:02} {:02}:{:02}:{:02}",
            self.month, self.day, self.hour, self.minute, self.second
        )
    }
}

/// Year, month and day of a number of days since 1970, by eras of 400 years that begin in March (H. Hinnant's way).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let cases = [
            (0, 0, "1970-01-01 00:00:00"),
            (1_795_953_600, 0, "2026-11-29 12:00:00"),
            (1_795_953_600, 8, "2026-11-29 20:00:00"),
            (951_782_400, 0, "2000-02-29 00:00:00"),
            (951_868_799, 0, "2000-02-29 23:59:59"),
            (1_798_761_599, 8, "2027-01-01 07:59:59"),
        ];
        for (seconds, ahead, expected) in cases {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(Date::of(at, ahead).full(), expected);
        }
        let late = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(Date::of(late, 0).short(), "01-01 00:00:02");
    }
}
