//! Durations and dates in the spellings that hosts use.

use std::time::{Duration, SystemTime};

/// The longest duration that is handed out; longer ones count as this. Roughly a year.
// Long enough for every real hint; short enough that adding it to an instant never overflows.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const NANOS: u128 = 1_000_000_000;

/// A decimal number times a unit in nanoseconds, rounded up; `None` for a sign, an exponent, `NaN` or nothing.
pub(super) fn decimal(text: &str, unit_nanos: u128) -> Option<Duration> {
    scaled(text, unit_nanos).map(clamped)
}

/// The decimal number as nanoseconds, saturating.
pub(super) fn scaled(text: &str, unit_nanos: u128) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let value = |part: &str| {
        // A number may have any length; `clamped` cuts it anyway.
        part.bytes().fold(0_u128, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(u128::from(digit - b'0'))
        })
    };
    // More digits than these are below a nanosecond of every unit.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    // Rounded up: a wait that ends early meets the same limit again.
    let part = value(fraction).saturating_mul(unit_nanos).div_ceil(scale);
    Some(value(whole).saturating_mul(unit_nanos).saturating_add(part))
}

/// Nanoseconds as a duration of at most [`LONGEST`].
pub(super) fn clamped(nanos: u128) -> Duration {
    let seconds = u64::try_from(nanos / NANOS).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % NANOS).unwrap_or(0);
    if seconds >= LONGEST.as_secs() {
        LONGEST
    } else {
        Duration::new(seconds, rest)
    }
}

/// A duration of numbers with units, `6m0s` or `1 minute 2.5 seconds`, and how much of the text it takes.
pub(super) fn compound(text: &str) -> Option<(Duration, usize)> {
    let mut total = 0_u128;
    let mut taken = 0;
    loop {
        let rest = &text[taken..];
        let start = taken + (rest.len() - rest.trim_start_matches(' ').len());
        let Some((nanos, length)) = number_with_unit(&text[start..]) else {
            break;
        };
        total = total.saturating_add(nanos);
        taken = start + length;
    }
    (taken > 0).then(|| (clamped(total), taken))
}

fn number_with_unit(text: &str) -> Option<(u128, usize)> {
    let number = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let rest = &text[number..];
    let gap = usize::from(rest.starts_with(' '));
    let rest = &rest[gap..];
    let unit = rest.len()
        - rest
            .trim_start_matches(|c: char| c.is_ascii_alphabetic() || matches!(c, 'µ' | 'μ'))
            .len();
    let nanos = scaled(&text[..number], unit_nanos(&rest[..unit])?)?;
    Some((nanos, number + gap + unit))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    const UNITS: &[(&[&str], u128)] = &[
        (&["s", "sec", "secs", "second", "seconds"], NANOS),
        (
            &["ms", "msec", "msecs", "millisecond", "milliseconds"],
            1_000_000,
        ),
        (&["m", "min", "mins", "minute", "minutes"], 60 * NANOS),
        (&["h", "hr", "hrs", "hour", "hours"], 3_600 * NANOS),
        (&["d", "day", "days"], 86_400 * NANOS),
        // The micro sign and the Greek letter look the same.
        (&["us", "µs", "μs"], 1_000),
        (&["ns"], 1),
    ];
    UNITS
        .iter()
        .find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(unit)))
        .map(|&(_, nanos)| nanos)
}

/// A date as RFC 3339 writes it, `2026-02-25T20:02:37.5Z`; a space may stand for the `T`.
pub(super) fn rfc3339(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let sign = |at: usize, allowed: &[u8]| {
        bytes
            .get(at)
            .is_some_and(|b| allowed.contains(b))
            .then_some(())
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    sign(4, b"-")?;
    sign(7, b"-")?;
    sign(10, b"Tt ")?;
    sign(13, b":")?;
    sign(16, b":")?;
    // A leap second is the next one.
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction = rest.strip_prefix('.').map_or(0, |rest| {
        rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len() + 1
    });
    let nanos = if fraction > 0 {
        scaled(&rest[..fraction], NANOS)?
    } else {
        0
    };
    let east = offset(&rest[fraction..])?;
    let seconds =
        i64::try_from(days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second)
            .ok()?;
    let since = Duration::from_secs(u64::try_from(seconds.checked_sub(east)?).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since.checked_add(clamped(nanos))?)
}

/// Seconds east of Greenwich: `Z`, `+08:00`, `-0530`.
fn offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, text) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match text.len() {
        5 if text.as_bytes()[2] == b':' => (text.get(..2)?, text.get(3..)?),
        4 => (text.get(..2)?, text.get(2..)?),
        _ => return None,
    };
    let number = |digits: &str| -> Option<i64> {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` for a day that there is not.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [
        31,
        if leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(month)?;
    if day == 0 || day > length {
        return None;
    }
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(before + lengths[..month].iter().sum::<u64>() + day - 1)
}
