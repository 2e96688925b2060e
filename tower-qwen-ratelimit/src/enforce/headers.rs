use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_qwen_tokens::internal::{clock::Instant, header};

use super::{rejection::whole_seconds, text::Text};
use crate::{key::Salt, limiter::Tenant};

/// The largest integer of a structured field. A limit beyond it is none, and is not told.
const LARGEST: u64 = 999_999_999_999_999;

/// Headers that tell callers where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderFamily {
    /// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
    Ietf,
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI has them.
    XRatelimit,
}

/// The families that are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Families {
    pub(super) ietf: bool,
    pub(super) x_ratelimit: bool,
    /// Whether those of the draft say whose quota it is.
    pub(super) partition_key: bool,
}

/// Where a caller stands with one dimension of its quota.
#[derive(Debug, Clone, Copy)]
struct Standing {
    limit: u64,
    left: u64,
    more_in: Duration,
    all_in: Duration,
}

impl Families {
    pub(super) const ALL: Self = Self {
        ietf: true,
        x_ratelimit: true,
        partition_key: false,
    };

    pub(super) fn without(self, family: HeaderFamily) -> Self {
        match family {
            HeaderFamily::Ietf => Self {
                ietf: false,
                ..self
            },
            HeaderFamily::XRatelimit => Self {
                x_ratelimit: false,
                ..self
            },
        }
    }

    pub(super) fn write(self, headers: &mut HeaderMap, tenant: &Tenant, salt: &Salt, now: Instant) {
        if !self.ietf && !self.x_ratelimit {
            return;
        }
        let requests = tenant.requests_left(now).map(|left| Standing {
            limit: left.limit,
            left: left.now,
            more_in: left.more_in,
            all_in: left.all_in,
        });
        let left = tenant.tokens_left(now);
        let tokens = Standing {
            limit: left.limit,
            left: left.now,
            more_in: left.more_in,
            all_in: left.all_in,
        };
        let requests = requests.filter(Standing::is_told);
        let tokens = Some(tokens).filter(Standing::is_told);
        if self.ietf {
            let partition = if self.partition_key {
                partition(salt.partition(tenant.key().as_ref()))
            } else {
                String::new()
            };
            ietf(headers, requests, tokens, tenant.window(), &partition);
        }
        if self.x_ratelimit {
            let requests_names = [
                header::X_RATELIMIT_LIMIT_REQUESTS,
                header::X_RATELIMIT_REMAINING_REQUESTS,
                header::X_RATELIMIT_RESET_REQUESTS,
            ];
            let tokens_names = [
                header::X_RATELIMIT_LIMIT_TOKENS,
                header::X_RATELIMIT_REMAINING_TOKENS,
                header::X_RATELIMIT_RESET_TOKENS,
            ];
            x_ratelimit(headers, requests_names, requests);
            x_ratelimit(headers, tokens_names, tokens);
        }
    }
}

impl Standing {
    fn is_told(&self) -> bool {
        self.limit <= LARGEST
    }
}

fn ietf(
    headers: &mut HeaderMap,
    requests: Option<Standing>,
    tokens: Option<Standing>,
    window: Duration,
    partition: &str,
) {
    let window = whole_seconds(window).clamp(1, LARGEST);
    let mut policy = Text::with_capacity(96 + 2 * partition.len());
    let mut limit = Text::with_capacity(64 + 2 * partition.len());
    let rows = [
        ("\"requests\"", "", requests),
        ("\"tokens\"", ";qu=\"tokens\"", tokens),
    ];
    for (name, unit, standing) in rows {
        let Some(standing) = standing else { continue };
        let comma = if policy.is_empty() { "" } else { ", " };
        policy.text(comma).text(name);
        policy.text(";q=").number(standing.limit);
        policy.text(";w=").number(window).text(unit).text(partition);
        limit.text(comma).text(name);
        limit.text(";r=").number(standing.left);
        if !standing.more_in.is_zero() {
            limit
                .text(";t=")
                .number(whole_seconds(standing.more_in).min(LARGEST));
        }
        limit.text(partition);
    }
    set(headers, header::RATELIMIT_POLICY, policy.take());
    set(headers, header::RATELIMIT, limit.take());
}

fn x_ratelimit(
    headers: &mut HeaderMap,
    [limit, remaining, reset]: [HeaderName; 3],
    standing: Option<Standing>,
) {
    if let Some(standing) = standing {
        headers.insert(limit, standing.limit.into());
        headers.insert(remaining, standing.left.into());
        set(headers, reset, in_units(standing.all_in));
    } else {
        for name in [limit, remaining, reset] {
            headers.remove(name);
        }
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    match HeaderValue::try_from(value) {
        Ok(value) if !value.is_empty() => headers.insert(name, value),
        _ => headers.remove(name),
    };
}

/// The parameter `pk`: a byte sequence, in base64.
fn partition(key: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u128::from(key) << 2;
    let digits = (0..11).rev().map(|at| {
        let digit = (bits >> (6 * at)) & 0x3f;
        char::from(DIGITS[digit as usize])
    });
    format!(";pk=:{}=:", digits.collect::<String>())
}

/// A duration as OpenAI writes it: `120ms`, `7.66s`, `6m0s`, `1h0m0s`. Rounded up to milliseconds.
fn in_units(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let mut text = Text::with_capacity(16);
    if (1..1_000).contains(&millis) {
        return text.number(millis).text("ms").take();
    }
    let (seconds, fraction) = (millis / 1_000, millis % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    if hours > 0 {
        text.number(hours).text("h");
    }
    if hours > 0 || minutes > 0 {
        text.number(minutes).text("m");
    }
    text.number(seconds % 60);
    if fraction > 0 {
        let mut digits = itoa::Buffer::new();
        // Behind a 1, so that the zeros in front are there.
        let digits = &digits.format(1_000 + fraction)[1..];
        text.text(".").text(digits.trim_end_matches('0'));
    }
    text.text("s").take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_keys_are_base64() {
        assert_eq!(partition(0), ";pk=:AAAAAAAAAAA=:");
        assert_eq!(partition(u64::MAX), ";pk=://////////8=:");
        assert_eq!(
            partition(u64::from_be_bytes(*b"ratelim!")),
            ";pk=:cmF0ZWxpbSE=:"
        );
    }

    #[test]
    fn durations_in_units() {
        let rows = [
            (0, "0s"),
            (1, "1ms"),
            (120_000_000, "120ms"),
            (120_000_001, "121ms"),
            (999_000_001, "1s"),
            (1_000_000_000, "1s"),
            (7_660_000_000, "7.66s"),
            (7_006_000_000, "7.006s"),
            (60_000_000_000, "1m0s"),
            (360_000_000_000, "6m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (86_399_500_000_000, "23h59m59.5s"),
        ];
        for (nanos, text) in rows {
            assert_eq!(in_units(Duration::from_nanos(nanos)), text, "{nanos}");
        }
    }
}
