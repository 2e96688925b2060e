//! The headers that tell what is left of the quotas.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::RateLimitHeaders;
use crate::go_duration::go_duration;
use crate::quota::Room;

/// Adds the headers, if there are any.
pub(crate) fn add(headers: &mut HeaderMap, form: RateLimitHeaders, requests: Room, tokens: Room) {
    let unit = match form {
        RateLimitHeaders::None => return,
        RateLimitHeaders::OpenAi => Duration::from_millis(1),
        RateLimitHeaders::Groq => Duration::from_micros(1),
    };
    let figures = [
        ("x-ratelimit-limit-requests", requests.limit.to_string()),
        ("x-ratelimit-limit-tokens", tokens.limit.to_string()),
        (
            "x-ratelimit-remaining-requests",
            requests.remaining.to_string(),
        ),
        ("x-ratelimit-remaining-tokens", tokens.remaining.to_string()),
        (
            "x-ratelimit-reset-requests",
            go_duration(requests.reset, unit),
        ),
        ("x-ratelimit-reset-tokens", go_duration(tokens.reset, unit)),
    ];
    for (name, value) in figures {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}
