//! Durations in the spellings that hosts use.

use std::time::Duration;

/// The longest duration that is handed out; longer ones count as this. Roughly a year.
// Long enough for every real hint; short enough that adding it to an instant never overflows.
pub(super) const LONGEST: Duration = Duration::from_secs(366 * 86_400);

pub(super) const NANOS: u128 = 1_000_000_000;

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

/// A duration of numbers with units, `6m0s`, `1 minute and 2.5 seconds` or `1 小时 30 分`, and how much of the text it takes.
pub(super) fn compound(text: &str) -> Option<(Duration, usize)> {
    let mut total = 0_u128;
    let mut taken = 0;
    loop {
        let mut rest = text[taken..].trim_start_matches([' ', ',']);
        if taken > 0 {
            rest = rest.strip_prefix("and ").unwrap_or(rest);
        }
        let start = text.len() - rest.len();
        let Some((nanos, length)) = number_with_unit(rest) else {
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
    let unit = unit_length(rest);
    let nanos = scaled(&text[..number], unit_nanos(&rest[..unit])?)?;
    Some((nanos, number + gap + unit))
}

/// The bytes of the unit that a text begins with, known or not.
fn unit_length(text: &str) -> usize {
    // Chinese has no blank behind a unit, so the longest that is known counts.
    let chinese = ["秒钟", "秒", "分钟", "分", "小时", "天"];
    if let Some(unit) = chinese.iter().find(|unit| text.starts_with(**unit)) {
        return unit.len();
    }
    let is_of_unit = |c: char| c.is_ascii_alphabetic() || matches!(c, 'µ' | 'μ');
    text.len() - text.trim_start_matches(is_of_unit).len()
}

fn unit_nanos(unit: &str) -> Option<u128> {
    const UNITS: &[(&[&str], u128)] = &[
        (
            &["s", "sec", "secs", "second", "seconds", "秒", "秒钟"],
            NANOS,
        ),
        (
            &["ms", "msec", "msecs", "millisecond", "milliseconds"],
            1_000_000,
        ),
        (
            &["m", "min", "mins", "minute", "minutes", "分", "分钟"],
            60 * NANOS,
        ),
        (&["h", "hr", "hrs", "hour", "hours", "小时"], 3_600 * NANOS),
        (&["d", "day", "days", "天"], 86_400 * NANOS),
        // The micro sign and the Greek letter look the same.
        (&["us", "µs", "μs"], 1_000),
        (&["ns"], 1),
    ];
    UNITS
        .iter()
        .find(|(names, _)| names.iter().any(|name| name.eq_ignore_ascii_case(unit)))
        .map(|&(_, nanos)| nanos)
}
