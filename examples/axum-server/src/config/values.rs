//! How single values are written.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, de};
use tower_qwen_ratelimit::Priority;
use tower_qwen_tokens::Money;

const DAY: u64 = 86_400;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * DAY);

/// A length of time, written as `10s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Length(pub(super) Duration);

/// The same, or `0s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct LengthOrNone(pub(super) Duration);

/// An instant, written as `2026-12-31` (its beginning, UTC) or `2026-12-31T12:00:00+08:00`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Instant {
    text: String,
    at: SystemTime,
}

/// An amount of money, written as `20 USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cost(pub Money);

/// Decimals, written as a number or as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

/// The urgency of a caller's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// After all others.
    Low,
    /// As usual.
    Normal,
    /// Before all others.
    High,
}

/// A text that is not written as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(&'static str);

impl Instant {
    /// The instant itself.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.at
    }
}

impl From<Class> for Priority {
    fn from(class: Class) -> Self {
        match class {
            Class::Low => Self::Low,
            Class::Normal => Self::Normal,
            Class::High => Self::High,
        }
    }
}

impl FromStr for Length {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        length(text).map(Self).ok_or(Unreadable(
            "a time is written as `10s`, with one of the units ms, s, m, h and d, from 1ms to 366d",
        ))
    }
}

fn length(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit.trim_start() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let length = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
    (SHORTEST..=LONGEST).contains(&length).then_some(length)
}

impl FromStr for Instant {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let seconds = instant(text).ok_or(Unreadable(
            "a date is written as `2026-12-31` or `2026-12-31T12:00:00Z`",
        ))?;
        Ok(Self {
            text: text.to_owned(),
            at: UNIX_EPOCH + Duration::from_secs(seconds),
        })
    }
}

/// Seconds since 1970.
fn instant(text: &str) -> Option<u64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let next_month = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    let midnight = days(year, month, day);
    if !(1..=12).contains(&month) || day < 1 || midnight >= days(next_month.0, next_month.1, 1) {
        return None;
    }
    let mut seconds = midnight * DAY as i64;
    if let Some(time) = time {
        let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(zone);
        let [hours, minutes, second] = numbers(clock, ':', [2, 2, 2])?;
        if hours > 23 || minutes > 59 || second > 60 {
            return None;
        }
        seconds += hours * 3_600 + minutes * 60 + second;
        seconds -= match zone.split_at_checked(1) {
            None | Some(("Z" | "z", "")) => 0,
            Some((sign @ ("+" | "-"), offset)) => {
                let [hours, minutes] = numbers(offset, ':', [2, 2])?;
                let offset = hours * 3_600 + minutes * 60;
                if sign == "-" { -offset } else { offset }
            }
            Some(_) => return None,
        };
    }
    u64::try_from(seconds).ok()
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 to a day. The year begins in March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = if month <= 2 { month + 9 } else { month - 3 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl FromStr for Cost {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let money = text.parse::<Money>().ok();
        let money = money.filter(|money| money.pico() >= 0);
        money
            .map(Self)
            .ok_or(Unreadable("an amount of money is written as `20 USD`"))
    }
}

impl From<Cost> for String {
    fn from(cost: Cost) -> Self {
        cost.0.to_string()
    }
}

impl From<Instant> for String {
    fn from(instant: Instant) -> Self {
        instant.text
    }
}

impl TryFrom<String> for Length {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl TryFrom<String> for LengthOrNone {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        match &*text {
            "0s" => Ok(Self(Duration::ZERO)),
            text => text.parse().map(|Length(length)| Self(length)),
        }
    }
}

impl TryFrom<String> for Instant {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl TryFrom<String> for Cost {
    type Error = Unreadable;

    fn try_from(text: String) -> Result<Self, Unreadable> {
        text.parse()
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Decimal, E> {
                Ok(Decimal(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Decimal, E> {
                Ok(Decimal(number.to_string()))
            }

            // Written without an exponent, and with no more digits than it takes to read it again.
            fn visit_f64<E>(self, number: f64) -> Result<Decimal, E> {
                Ok(Decimal(number.to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Decimal, E> {
                Ok(Decimal(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1.5 s", 1_500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("366d", 366 * 86_400_000),
        ] {
            let expected = Ok(Length(Duration::from_millis(millis)));
            assert_eq!(text.parse(), expected, "{text}");
        }
        for wrong in [
            "",
            "10",
            "s",
            "10 seconds",
            "-1s",
            "0s",
            "367d",
            "1e3s",
            "1.2.3s",
        ] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_are_instants() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2026-12-31", 1_798_675_200),
            ("2024-02-29", 1_709_164_800),
            ("2026-12-31T12:00:00Z", 1_798_718_400),
            ("2026-12-31 12:00:00", 1_798_718_400),
            ("2026-12-31T12:00:00+08:00", 1_798_689_600),
            ("2026-12-31T12:00:00-01:30", 1_798_723_800),
        ] {
            let instant: Instant = text.parse().expect(text);
            let since = instant.at().duration_since(UNIX_EPOCH).expect(text);
            assert_eq!(since.as_secs(), seconds, "{text}");
            assert_eq!(String::from(instant), text);
        }
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-00-01",
            "2026-01-00",
            "26-01-01",
            "2026-01-01T25:00:00",
            "2026-01-01T10:00:00+8",
            "1969-01-01",
        ] {
            assert!(wrong.parse::<Instant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_has_a_currency_and_is_not_below_zero() {
        for text in ["20 USD", "0.5 CNY", "0 USD"] {
            let cost: Cost = text.parse().expect(text);
            assert_eq!(String::from(cost), text);
        }
        for wrong in ["20", "USD", "-1 USD", "20USD", "20 usd"] {
            assert!(wrong.parse::<Cost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_become_decimals() -> serde_json::Result<()> {
        for (text, expected) in [
            ("20", "20"),
            ("0.14", "0.14"),
            ("1e-7", "0.0000001"),
            ("\"7.1\"", "7.1"),
        ] {
            let decimal: Decimal = serde_json::from_str(text)?;
            assert_eq!(decimal.0, expected);
        }
        assert!(serde_json::from_str::<Decimal>("[]").is_err());
        Ok(())
    }
}
