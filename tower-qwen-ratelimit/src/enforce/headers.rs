use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tower_qwen_tokens::internal::{clock::Instant, header};

use crate::{account::QuotaStatus, key::Salt, limiter::CallerAccount, rejection::whole_seconds};

/// The largest integer that a structured field can hold (RFC 9651, section 3.3.1). A larger limit
/// is as good as none, and is not written.
const LARGEST: u64 = 999_999_999_999_999;

/// How many headers both families have.
const MOST_HEADERS: usize = 8;

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
        headers.reserve(MOST_HEADERS);
        let text = &mut Text::new();
        let requests = account.request_status(now).filter(is_writable);
        let tokens = Some(account.token_status(now)).filter(is_writable);
        if self.ietf {
            let partition = if self.partition_key {
                partition(account.key().as_ref().hash_with(salt.hasher()))
            } else {
                String::new()
            };
            let status = (requests, tokens);
            ietf(headers, text, status, account.window(), &partition);
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
            x_ratelimit(headers, text, requests_names, requests);
            x_ratelimit(headers, text, tokens_names, tokens);
        }
    }
}

fn is_writable(status: &QuotaStatus) -> bool {
    status.limit <= LARGEST
}

fn ietf(
    headers: &mut HeaderMap,
    text: &mut Text,
    (requests, tokens): (Option<QuotaStatus>, Option<QuotaStatus>),
    window: Duration,
    partition: &str,
) {
    // Windows of milliseconds exist, but the draft has whole seconds only, and 0 is not allowed.
    let window = whole_seconds(window).clamp(1, LARGEST);
    let rows = [
        ("\"requests\"", "", requests),
        ("\"tokens\"", ";qu=\"tokens\"", tokens),
    ];
    let rows = rows.map(|(name, unit, status)| status.map(|status| (name, unit, status)));
    for (name, unit, status) in rows.into_iter().flatten() {
        text.item(name).text(";q=").number(status.limit);
        text.text(";w=").number(window).text(unit).text(partition);
    }
    text.set(headers, header::RATELIMIT_POLICY);
    for (name, _, status) in rows.into_iter().flatten() {
        text.item(name).text(";r=").number(status.remaining);
        if !status.more_in.is_zero() {
            let more_in = whole_seconds(status.more_in).min(LARGEST);
            text.text(";t=").number(more_in);
        }
        text.text(partition);
    }
    text.set(headers, header::RATELIMIT);
}

fn x_ratelimit(
    headers: &mut HeaderMap,
    text: &mut Text,
    [limit, remaining, reset]: [HeaderName; 3],
    status: Option<QuotaStatus>,
) {
    if let Some(status) = status {
        text.number(status.limit).set(headers, limit);
        text.number(status.remaining).set(headers, remaining);
        text.in_units(status.full_in).set(headers, reset);
    } else {
        // The handler's own headers may be those of a provider behind it, which are not the
        // caller's limits.
        for name in [limit, remaining, reset] {
            headers.remove(name);
        }
    }
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

/// Header values under construction, one after the other. Every response carries several, so they are written without the machinery
/// of `fmt`, and copied out: a value that kept a string's spare room would be two allocations.
struct Text(String);

impl Text {
    fn new() -> Self {
        // Enough for both dimensions of a policy with limits of nine digits.
        Self(String::with_capacity(128))
    }

    /// Begins the next item of a list.
    fn item(&mut self, name: &str) -> &mut Self {
        let comma = if self.0.is_empty() { "" } else { ", " };
        self.text(comma).text(name)
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.text(itoa::Buffer::new().format(number))
    }

    /// A duration as OpenAI writes it: `120ms`, `7.66s`, `6m0s`, `1h0m0s`. Rounded up to milliseconds.
    fn in_units(&mut self, duration: Duration) -> &mut Self {
        let millis = u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        if (1..1_000).contains(&millis) {
            return self.number(millis).text("ms");
        }
        let (seconds, fraction) = (millis / 1_000, millis % 1_000);
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        if hours > 0 {
            self.number(hours).text("h");
        }
        if hours > 0 || minutes > 0 {
            self.number(minutes).text("m");
        }
        self.number(seconds % 60);
        if fraction > 0 {
            let mut digits = itoa::Buffer::new();
            // Formatted as 1xxx and cut, so that leading zeros stay: 7.006s.
            let digits = &digits.format(1_000 + fraction)[1..];
            self.text(".").text(digits.trim_end_matches('0'));
        }
        self.text("s")
    }

    /// Sets a header to what was written, or removes it where that is nothing. The next value begins anew.
    fn set(&mut self, headers: &mut HeaderMap, name: HeaderName) {
        match HeaderValue::from_str(&self.0) {
            Ok(value) if !value.is_empty() => headers.insert(name, value),
            _ => headers.remove(name),
        };
        self.0.clear();
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
            let mut written = Text::new();
            written.in_units(Duration::from_nanos(nanos));
            assert_eq!(written.0, text, "{nanos}");
        }
    }
}
