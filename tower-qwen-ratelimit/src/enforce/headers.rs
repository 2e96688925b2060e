use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_qwen_tokens::internal::{clock::Instant, header};

use crate::{account::QuotaStatus, key::Salt, limiter::CallerAccount, rejection::whole_seconds};

/// The largest integer that a structured field can hold (RFC 9651, section 3.3.1). A larger limit
/// is as good as none, and is not written.
const LARGEST: u64 = 999_999_999_999_999;

/// A family of response headers that state a caller's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderFamily {
    /// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers.
    Ietf,
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, as OpenAI writes them.
    XRatelimit,
}

/// Which headers are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeaderSettings {
    pub(super) ietf: bool,
    pub(super) x_ratelimit: bool,
    /// Whether the draft's headers say whose quota it is.
    pub(super) partition_key: bool,
}

impl HeaderSettings {
    pub(super) const ALL: Self = Self {
        ietf: true,
        x_ratelimit: true,
        partition_key: false,
    };

    pub(super) fn write(
        self,
        headers: &mut HeaderMap,
        account: &CallerAccount,
        salt: &Salt,
        now: Instant,
    ) {
        // Both status figures take the account's lock, so they are not read in vain.
        if !self.ietf && !self.x_ratelimit {
            return;
        }
        let requests = account.request_status(now).filter(is_writable);
        let tokens = Some(account.token_status(now)).filter(is_writable);
        if self.ietf {
            let partition = if self.partition_key {
                partition(account.key().as_ref().hash_with(salt.hasher()))
            } else {
                String::new()
            };
            ietf(headers, requests, tokens, account.window(), &partition);
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

fn is_writable(status: &QuotaStatus) -> bool {
    status.limit <= LARGEST
}

fn ietf(
    headers: &mut HeaderMap,
    requests: Option<QuotaStatus>,
    tokens: Option<QuotaStatus>,
    window: Duration,
    partition: &str,
) {
    // Windows of milliseconds exist, but the draft has whole seconds only, and 0 is not allowed.
    let window = whole_seconds(window).clamp(1, LARGEST);
    // Enough for both dimensions with limits of nine digits: one allocation per header.
    let mut policy = Text::with_capacity(96 + 2 * partition.len());
    let mut limit = Text::with_capacity(64 + 2 * partition.len());
    let rows = [
        ("\"requests\"", "", requests),
        ("\"tokens\"", ";qu=\"tokens\"", tokens),
    ];
    for (name, unit, status) in rows {
        let Some(status) = status else { continue };
        let comma = if policy.is_empty() { "" } else { ", " };
        policy.text(comma).text(name);
        policy.text(";q=").number(status.limit);
        policy.text(";w=").number(window).text(unit).text(partition);
        limit.text(comma).text(name);
        limit.text(";r=").number(status.remaining);
        if !status.more_in.is_zero() {
            limit
                .text(";t=")
                .number(whole_seconds(status.more_in).min(LARGEST));
        }
        limit.text(partition);
    }
    set(headers, header::RATELIMIT_POLICY, policy.take());
    set(headers, header::RATELIMIT, limit.take());
}

fn x_ratelimit(
    headers: &mut HeaderMap,
    [limit, remaining, reset]: [HeaderName; 3],
    status: Option<QuotaStatus>,
) {
    if let Some(status) = status {
        headers.insert(limit, status.limit.into());
        headers.insert(remaining, status.remaining.into());
        set(headers, reset, in_units(status.full_in));
    } else {
        // The handler's own headers may be those of a provider behind it, which are not the
        // caller's limits.
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

/// The parameter `pk`: a byte sequence of a structured field, which is base64. Eight bytes are not
/// worth a dependency.
fn partition(key: u64) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // 64 bits make 11 digits of 6 bits, the last one filled up with two zero bits.
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
        // Formatted as 1xxx and cut, so that leading zeros stay: 7.006s.
        let digits = &digits.format(1_000 + fraction)[1..];
        text.text(".").text(digits.trim_end_matches('0'));
    }
    text.text("s").take()
}

/// A header value under construction. Every response carries several, so they are written without
/// the machinery of `fmt`.
struct Text(String);

impl Text {
    fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.text(itoa::Buffer::new().format(number))
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
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
