//! When to try again, as the server hints in the headers of its answer.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::{
    Cause,
    date::{date, until},
    hint_header as names,
    hint_words::wait_in,
    time,
    words::Words,
};

pub(super) const MILLIS: u128 = 1_000_000;
const SECONDS: u128 = 1_000_000_000;
/// A bare number from here on is a date in seconds, not a duration (it would be 31 years).
const EPOCH_SECONDS: u128 = 1_000_000_000 * SECONDS;
/// A bare number from here on is a date in milliseconds (as seconds it would be the year 5138).
const EPOCH_MILLIS: u128 = 100_000_000_000 * SECONDS;

/// The limit that a reset header belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limit {
    Requests,
    Tokens,
    Unnamed,
}

/// Reset headers, the limit of each, and the header with what is left of that limit.
static RESETS: [(HeaderName, Limit, HeaderName); 11] = [
    (
        names::X_RATELIMIT_RESET_REQUESTS,
        Limit::Requests,
        names::X_RATELIMIT_REMAINING_REQUESTS,
    ),
    (
        names::X_RATELIMIT_RESET_REQUESTS_MINUTE,
        Limit::Requests,
        names::X_RATELIMIT_REMAINING_REQUESTS_MINUTE,
    ),
    (
        names::X_RATELIMIT_RESET_REQUESTS_DAY,
        Limit::Requests,
        names::X_RATELIMIT_REMAINING_REQUESTS_DAY,
    ),
    (
        names::X_RATELIMIT_RESET_TOKENS,
        Limit::Tokens,
        names::X_RATELIMIT_REMAINING_TOKENS,
    ),
    (
        names::X_RATELIMIT_RESET_TOKENS_MINUTE,
        Limit::Tokens,
        names::X_RATELIMIT_REMAINING_TOKENS_MINUTE,
    ),
    (
        names::ANTHROPIC_RESET_REQUESTS,
        Limit::Requests,
        names::ANTHROPIC_REMAINING_REQUESTS,
    ),
    (
        names::ANTHROPIC_RESET_TOKENS,
        Limit::Tokens,
        names::ANTHROPIC_REMAINING_TOKENS,
    ),
    (
        names::ANTHROPIC_RESET_INPUT_TOKENS,
        Limit::Tokens,
        names::ANTHROPIC_REMAINING_INPUT_TOKENS,
    ),
    (
        names::ANTHROPIC_RESET_OUTPUT_TOKENS,
        Limit::Tokens,
        names::ANTHROPIC_REMAINING_OUTPUT_TOKENS,
    ),
    (
        names::X_RATELIMIT_RESET,
        Limit::Unnamed,
        names::X_RATELIMIT_REMAINING,
    ),
    (
        names::RATELIMIT_RESET,
        Limit::Unnamed,
        names::RATELIMIT_REMAINING,
    ),
];

/// A wait that an answer states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hint {
    /// `None` where it states none that makes sense.
    pub(super) wait: Option<Duration>,
    /// Whether it states one that is beyond belief.
    pub(super) is_absurd: bool,
    /// Whether the body states it, rather than a header.
    pub(super) is_in_body: bool,
}

impl Hint {
    /// The first of these that is believed.
    pub(super) fn or(self, other: impl FnOnce() -> Option<Duration>) -> Self {
        if self.wait.is_some() {
            return self;
        }
        let other = other();
        // More than a year: a broken clock, a date like 9999-12-31, or a number of another unit.
        let is_absurd = other.is_some_and(|wait| wait >= time::LONGEST);
        Self {
            wait: other.filter(|_| !is_absurd),
            is_absurd: self.is_absurd || is_absurd,
            is_in_body: false,
        }
    }

    /// The other hint where this one has no wait.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.wait.is_some() {
            return self;
        }
        let other = other();
        Self {
            is_absurd: self.is_absurd || other.is_absurd,
            ..other
        }
    }
}

/// How long the server asks to wait; `None` where it gives no hint that makes sense.
///
/// In this order: `retry-after-ms` (or `x-ms-retry-after-ms`), `retry-after` (seconds, whole or not, a duration with units, or
/// a date), the same names behind `llm_provider-`, the reset headers and `ratelimit` (for throttles only), the message. Dates are
/// read against the answer's own `Date`, so that a clock that is wrong here does not matter; `now` is used where it has none. A
/// wait of more than a year is not believed.
#[must_use]
pub fn retry_after(
    headers: &HeaderMap,
    message: &str,
    cause: Cause,
    now: SystemTime,
) -> Option<Duration> {
    let words = Words::of(message);
    in_headers(headers, cause, now)
        .or(|| wait_in(&words, || server_time(headers, now)))
        .wait
}

/// The wait that the headers of an answer state.
pub(super) fn in_headers(headers: &HeaderMap, cause: Cause, now: SystemTime) -> Hint {
    // Most refusals have none of them, and one pass over the names costs less than a search for each.
    let is_hint = |name: &HeaderName| {
        let name = name.as_str();
        ["retry", "reset", "ratelimit"]
            .iter()
            .any(|part| name.contains(part))
    };
    if !headers.keys().any(is_hint) {
        return Hint::default();
    }
    let now = server_time(headers, now);
    let millis = |name: HeaderName| first(headers, &name, |text| time::decimal(text, MILLIS));
    let other = |name: HeaderName| first(headers, &name, |text| reset(text, now));
    Hint::default()
        // Milliseconds first: the same hosts round `retry-after` to seconds.
        .or(|| millis(names::RETRY_AFTER_MS))
        .or(|| millis(names::X_MS_RETRY_AFTER_MS))
        .or(|| other(header::RETRY_AFTER))
        // A gateway that waits by itself passes the host's own on under these names only.
        .or(|| millis(names::LLM_PROVIDER_RETRY_AFTER_MS))
        .or(|| other(names::LLM_PROVIDER_RETRY_AFTER))
        // Reset headers come with every answer. They are a wait only where a limit is the cause.
        .or(|| cause.is_throttle().then(|| resets(headers, cause, now))?)
        .or(|| cause.is_throttle().then(|| policies(headers))?)
        .or(|| other(names::RESET_AT).filter(|_| cause.is_throttle()))
}

/// The wait that a reset states: a duration, or a date in one of many spellings.
pub(super) fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Some(nanos) = time::scaled(text, SECONDS) {
        // Hosts write seconds, a date in seconds or a date in milliseconds under one name; their
        // sizes cannot be confused.
        return match nanos {
            ..EPOCH_SECONDS => Some(time::clamped(nanos)),
            EPOCH_SECONDS..EPOCH_MILLIS => Some(until_epoch(nanos, now)),
            EPOCH_MILLIS.. => Some(until_epoch(nanos / 1_000, now)),
        };
    }
    match time::compound(text) {
        // `2026-...` begins with a number too: only a text that is a duration to its end is one.
        Some((wait, taken)) if taken == text.len() => Some(wait),
        // A header without a zone is in Greenwich's time.
        _ => date(text, now, 0).map(|(date, _)| until(date, now)),
    }
}

/// The present time of the server, by the answer's `Date`.
pub(super) fn server_time(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    first(headers, &header::DATE, |text| {
        httpdate::parse_http_date(text).ok()
    })
    .unwrap_or(now)
}

fn resets(headers: &HeaderMap, cause: Cause, now: SystemTime) -> Option<Duration> {
    let limit = match cause {
        Cause::RequestRate | Cause::Growth => Some(Limit::Requests),
        Cause::TokenRate => Some(Limit::Tokens),
        _ => None,
    };
    let largest = |wanted: &dyn Fn(Limit, &HeaderName) -> bool| {
        RESETS
            .iter()
            .filter(|(_, limit, remaining)| wanted(*limit, remaining))
            .filter_map(|(name, ..)| first(headers, name, |text| reset(text, now)))
            .max()
    };
    let used_up = |remaining: &HeaderName| {
        first(headers, remaining, |text| time::scaled(text, 1)).is_some_and(|left| left == 0)
    };
    // The longest of those that are used up: the call needs all of them.
    largest(&|own, remaining| limit.is_none_or(|limit| own == limit) && used_up(remaining))
        .or_else(|| largest(&|own, _| limit == Some(own)))
        .or_else(|| largest(&|_, _| true))
}

/// The wait of IETF's `RateLimit: "default";r=0;t=30`: of the policies that are used up the longest, else of all the
/// shortest. The drafts up to 07 spell it `limit=10, remaining=0, reset=30`.
fn policies(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(&names::RATELIMIT).iter();
    let texts = lines.filter_map(|value| value.to_str().ok());
    let stated: Vec<(Duration, bool)> = texts
        .flat_map(|text| {
            let is_one = text.contains("reset=");
            text.split(if is_one { '\n' } else { ',' })
        })
        .filter_map(policy)
        .collect();
    let used_up = stated.iter().filter(|(_, used_up)| *used_up);
    // Where nothing says which policy is used up, the shortest wait is tried first.
    used_up
        .map(|&(wait, _)| wait)
        .max()
        .or_else(|| stated.iter().map(|&(wait, _)| wait).min())
}

/// The wait of one policy, and whether nothing is left of it.
fn policy(text: &str) -> Option<(Duration, bool)> {
    let parameter = |names: [&str; 2]| {
        text.split([';', ',']).find_map(|parameter| {
            let (name, value) = parameter.trim().split_once('=')?;
            names.contains(&name.trim()).then(|| value.trim())
        })
    };
    let wait = time::decimal(parameter(["t", "reset"])?, SECONDS)?;
    let left = parameter(["r", "remaining"]).and_then(|left| time::scaled(left, 1));
    Some((wait, left.is_none_or(|left| left == 0)))
}

/// The first value of a header that can be read.
pub(super) fn first<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|text| read(text.trim()))
}

fn until_epoch(nanos: u128, now: SystemTime) -> Duration {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    time::clamped(nanos.saturating_sub(now.as_nanos()))
}
