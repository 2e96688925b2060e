use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::shared::calendar;

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
}

impl Timestamp {
    /// Appends what `Display` writes, without the machinery of `fmt`: each line of a ledger has one.
    pub(super) fn write(self, text: &mut String) {
        let since = since_epoch(self.0);
        let (year, month, day) = calendar::date_of(since.as_secs() / DAY);
        let second = since.as_secs() % DAY;
        let parts = [
            (year, 4, '-'),
            (month, 2, '-'),
            (day, 2, 'T'),
            (second / 3_600, 2, ':'),
            (second / 60 % 60, 2, ':'),
            (second % 60, 2, '.'),
            (u64::from(since.subsec_millis()), 3, 'Z'),
        ];
        for (number, width, end) in parts {
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(number);
            text.extend((digits.len()..width).map(|_| '0'));
            text.push_str(digits);
            text.push(end);
        }
    }

    /// Reads what is written: UTC, with milliseconds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (time, milli) = time.split_once('.')?;
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let milli = number(milli)?;
        let is_time = hour < 24 && minute < 60 && second < 60 && milli < 1_000;
        let days = calendar::day_of(year, month, day).filter(|_| is_time)?;
        let seconds = days * DAY + hour * 3_600 + minute * 60 + second;
        let since = Duration::from_secs(seconds) + Duration::from_millis(milli);
        UNIX_EPOCH.checked_add(since).map(Self)
    }
}

/// Three numbers with this between them.
fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let numbers = [
        number(parts.next()?)?,
        number(parts.next()?)?,
        number(parts.next()?)?,
    ];
    parts.next().is_none().then_some(numbers)
}

/// Digits alone. Few of them, so that no sum of a date overflows.
fn number(text: &str) -> Option<u64> {
    let is_number = text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = calendar::date_of(self.0);
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
}
