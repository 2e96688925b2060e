//! Instants in the spellings that hosts use.

use std::time::{Duration, SystemTime};

use super::time::{LONGEST, NANOS, clamped, scaled};
use crate::shared::calendar::day_of;

/// China's time, which hosts there write without saying so. Unit: seconds east of Greenwich.
pub(super) const CHINA: i64 = 8 * 3_600;

/// The instant that a text begins with, and how much of the text it takes.
///
/// `2026-02-25T20:02:37.5Z`, `2026/02/25 20:02`, `02-25 20:02:37 UTC`, `2026-02-25 23:59:59 +0800 CST`, an HTTP date. A date
/// without a year is the one nearest to `now`; one without a zone has the given one. Unit of `zone`: seconds east of Greenwich.
pub(super) fn date(text: &str, now: SystemTime, zone: i64) -> Option<(SystemTime, usize)> {
    // `Wed, 25 Feb 2026 20:02:37 GMT` has one length.
    const HTTP_DATE: usize = 29;
    if text.as_bytes().first()?.is_ascii_alphabetic() {
        let length = HTTP_DATE.min(text.len());
        // The obsolete forms have other lengths, and stand alone.
        let date = text
            .get(..length)
            .and_then(|text| httpdate::parse_http_date(text).ok());
        return date
            .map(|date| (date, length))
            .or_else(|| Some((httpdate::parse_http_date(text).ok()?, text.len())));
    }
    let mut rest = text;
    let year = match rest.as_bytes().get(4)? {
        b'-' | b'/' => Some(i64::from(digits(&mut rest, 4)?)),
        _ => None,
    };
    if year.is_some() {
        one_of(&mut rest, "-/")?;
    }
    let month = digits(&mut rest, 2)?;
    one_of(&mut rest, "-/")?;
    let day = digits(&mut rest, 2)?;
    let (of_day, nanos) = time_of_day(&mut rest);
    // A bare `11-29` may be anything.
    if year.is_none() && of_day.is_none() {
        return None;
    }
    let zone = offset(&mut rest).unwrap_or(zone);
    let of_day = i64::from(of_day.unwrap_or_default()) - zone;
    let instant = |year| {
        let seconds = day_of(u64::try_from(year).ok()?, month.into(), day.into())?;
        let seconds = i64::try_from(seconds * 86_400).ok()? + of_day;
        let since = Duration::from_secs(u64::try_from(seconds).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since.checked_add(nanos)?)
    };
    let instant = match year {
        Some(year) => instant(year),
        None => nearest(now, instant),
    };
    Some((instant?, text.len() - rest.len()))
}

/// How long until then, at most a year.
pub(super) fn until(date: SystemTime, now: SystemTime) -> Duration {
    // A date that has passed is no wait.
    date.duration_since(now).unwrap_or_default().min(LONGEST)
}

/// Of the instants in the years around now the nearest: a date that is just over means now, not a year later.
fn nearest(now: SystemTime, instant: impl Fn(i64) -> Option<SystemTime>) -> Option<SystemTime> {
    // A mean year: near enough to be one off at most.
    const YEAR_SECS: u64 = 31_556_952;
    let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let year = 1970 + i64::try_from(since.as_secs() / YEAR_SECS).ok()?;
    let distance = |instant: &SystemTime| match instant.duration_since(now) {
        Ok(ahead) => ahead,
        Err(error) => error.duration(),
    };
    (year - 1..=year + 1)
        .filter_map(instant)
        .min_by_key(distance)
}

/// `T20:02:37.5` or ` 20:02`: the second of the day, and the part of one.
fn time_of_day(rest: &mut &str) -> (Option<u32>, Duration) {
    let mut own = *rest;
    let mut read = || {
        one_of(&mut own, "Tt ")?;
        let hour = digits(&mut own, 2)?;
        one_of(&mut own, ":")?;
        let minute = digits(&mut own, 2)?;
        let mut second = 0;
        let mut nanos = Duration::ZERO;
        if one_of(&mut own, ":").is_some() {
            second = digits(&mut own, 2)?;
            let fraction = own.strip_prefix('.').map_or(0, |fraction| {
                let digits = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
                own.len() - digits.len()
            });
            if fraction > 1 {
                nanos = clamped(scaled(&own[..fraction], NANOS)?);
                own = &own[fraction..];
            }
        }
        // A leap second is the next one.
        let is_time = hour < 24 && minute < 60 && second <= 60;
        is_time.then_some((hour * 3_600 + minute * 60 + second, nanos))
    };
    match read() {
        Some((second, nanos)) => {
            *rest = own;
            (Some(second), nanos)
        }
        None => (None, Duration::ZERO),
    }
}

/// Seconds east of Greenwich: `Z`, ` UTC`, `+08:00`, ` +0800 CST`, ` (UTC+8)`, ` 北京时间`.
fn offset(rest: &mut &str) -> Option<i64> {
    let mut own = rest.trim_start_matches([' ', '(']);
    let name = own.len()
        - own
            .trim_start_matches(|c: char| c.is_ascii_alphabetic())
            .len();
    let named = match &own[..name] {
        "Z" | "z" | "UTC" | "GMT" | "utc" => Some(0),
        // Of the zones with this name the one of the hosts that write dates so.
        "CST" => Some(CHINA),
        _ if own.starts_with("北京时间") => Some(CHINA),
        _ => None,
    };
    if named.is_some() && name > 0 {
        own = &own[name..];
    } else if name > 0 {
        return None;
    }
    let before = own;
    let sign = match one_of(&mut own, "+-") {
        Some('+') => 1,
        Some(_) => -1,
        None => {
            if named.is_some() {
                *rest = before;
            }
            return named;
        }
    };
    let digits = own.len() - own.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = |text: &str| text.parse::<i64>().ok();
    let (hours, minutes) = match (digits, own.as_bytes().get(digits)) {
        (2, Some(b':')) => (number(&own[..2])?, number(own.get(3..5)?)?),
        (4, _) => (number(&own[..2])?, number(&own[2..4])?),
        // `UTC+8`; behind a bare time it would be no zone.
        (1 | 2, _) if named.is_some() => (number(&own[..digits])?, 0),
        _ => return None,
    };
    own = &own[if own.as_bytes().get(digits) == Some(&b':') {
        5
    } else {
        digits
    }..];
    *rest = own.strip_prefix(" CST").unwrap_or(own);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn digits(rest: &mut &str, count: usize) -> Option<u32> {
    let own = rest.get(..count)?;
    if !own.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    *rest = &rest[count..];
    own.parse().ok()
}

fn one_of(rest: &mut &str, signs: &str) -> Option<char> {
    let sign = rest.chars().next().filter(|sign| signs.contains(*sign))?;
    *rest = &rest[sign.len_utf8()..];
    Some(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-29T12:00:00Z.
    const NOW: u64 = 1_795_953_600;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn dates_of_hosts() {
        let hour = 3_600;
        for (text, expected) in [
            ("2026-11-29T12:00:42Z", Some(NOW + 42)),
            ("2026-11-29T12:00:42z tail", Some(NOW + 42)),
            ("2026-11-29T20:00:42+08:00", Some(NOW + 42)),
            ("2026-11-29 20:00:42 +0800 CST.", Some(NOW + 42)),
            ("2026-11-29 20:00:42 CST", Some(NOW + 42)),
            ("2026-11-29 20:00:42 (UTC+8)", Some(NOW + 42)),
            ("2026-11-29 20:00:42 北京时间", Some(NOW + 42)),
            ("2026-11-29T06:30:42-05:30", Some(NOW + 42)),
            ("2026/11/29 12:00", Some(NOW)),
            ("2026-11-29 12:00:42", Some(NOW + 42)),
            ("2026-11-30", Some(NOW + 12 * hour)),
            ("11-29 14:52:00 UTC.", Some(NOW + 10_320)),
            ("11-29 14:52:00", Some(NOW + 10_320)),
            ("11-29 11:59:00 UTC", Some(NOW - 60)),
            ("01-02 12:00:00 UTC", Some(NOW + 34 * 24 * hour)),
            ("Sun, 29 Nov 2026 12:00:42 GMT", Some(NOW + 42)),
            ("11-29", None),
            ("13-01 00:00:00", None),
            ("2026-02-30T00:00:10Z", None),
            ("1969-12-31T00:00:00Z", None),
            ("0000-01-01T00:00:00Z", None),
            ("soon", None),
            ("", None),
        ] {
            let found = date(text, at(NOW), 0).map(|(date, _)| date);
            assert_eq!(found, expected.map(at), "{text}");
        }
        let china = date("2026-11-29 20:00:42 重置", at(NOW), CHINA);
        assert_eq!(china, Some((at(NOW + 42), 19)));
    }

    #[test]
    fn a_date_without_a_year_is_the_nearest() {
        // Half an hour before the year ends.
        let now = at(1_798_759_800);
        let of = |text| date(text, now, 0).map(|(date, _)| date);
        assert_eq!(of("01-01 00:10:00"), Some(now + Duration::from_secs(2_400)));
        assert_eq!(of("12-31 23:20:00"), Some(now - Duration::from_secs(600)));
        let begun = now + Duration::from_secs(3_600);
        let found = date("12-31 23:30:00", begun, 0).map(|(date, _)| date);
        assert_eq!(found, Some(now));
    }
}
