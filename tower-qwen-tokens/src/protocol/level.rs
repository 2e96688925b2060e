//! What a provider says is left of its limits, in the headers of an answer.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::{hint, hint_header as names, time};

/// One limit, from an answer's headers. Unit: requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Level {
    /// All there is within a window; `None` where the answer does not say.
    pub limit: Option<u64>,
    /// What is left of it.
    pub remaining: u64,
    /// How long until nothing that was used counts any more; `None` where the answer does not say.
    pub reset: Option<Duration>,
}

/// The limits by the minute that an answer's headers state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Levels {
    /// Requests.
    pub requests: Option<Level>,
    /// Tokens.
    pub tokens: Option<Level>,
}

/// The three headers of one limit.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

static REQUESTS: [Names; 3] = [
    Names {
        limit: names::X_RATELIMIT_LIMIT_REQUESTS,
        remaining: names::X_RATELIMIT_REMAINING_REQUESTS,
        reset: names::X_RATELIMIT_RESET_REQUESTS,
    },
    Names {
        limit: names::X_RATELIMIT_LIMIT_REQUESTS_MINUTE,
        remaining: names::X_RATELIMIT_REMAINING_REQUESTS_MINUTE,
        reset: names::X_RATELIMIT_RESET_REQUESTS_MINUTE,
    },
    Names {
        limit: names::ANTHROPIC_LIMIT_REQUESTS,
        remaining: names::ANTHROPIC_REMAINING_REQUESTS,
        reset: names::ANTHROPIC_RESET_REQUESTS,
    },
];

static TOKENS: [Names; 3] = [
    Names {
        limit: names::X_RATELIMIT_LIMIT_TOKENS,
        remaining: names::X_RATELIMIT_REMAINING_TOKENS,
        reset: names::X_RATELIMIT_RESET_TOKENS,
    },
    Names {
        limit: names::X_RATELIMIT_LIMIT_TOKENS_MINUTE,
        remaining: names::X_RATELIMIT_REMAINING_TOKENS_MINUTE,
        reset: names::X_RATELIMIT_RESET_TOKENS_MINUTE,
    },
    Names {
        limit: names::ANTHROPIC_LIMIT_TOKENS,
        remaining: names::ANTHROPIC_REMAINING_TOKENS,
        reset: names::ANTHROPIC_RESET_TOKENS,
    },
];

impl Levels {
    /// What the headers of an answer say; dates are read against its own `Date`, or `now` where it has none.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use http::HeaderMap;
    /// use tower_qwen_tokens::protocol::Levels;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert("x-ratelimit-remaining-tokens", "149984".parse().unwrap());
    /// headers.insert("x-ratelimit-reset-tokens", "6m0s".parse().unwrap());
    /// let tokens = Levels::of(&headers, SystemTime::UNIX_EPOCH).tokens.unwrap();
    /// assert_eq!((tokens.remaining, tokens.reset), (149_984, Some(Duration::from_secs(360))));
    /// ```
    #[must_use]
    pub fn of(headers: &HeaderMap, now: SystemTime) -> Self {
        // Most answers have none of them, which their few names show sooner than six searches do.
        let is_of_limits = |name: &HeaderName| {
            let name = name.as_str();
            name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
        };
        if !headers.keys().any(is_of_limits) {
            return Self::default();
        }
        Self {
            requests: level(&REQUESTS, headers, now),
            tokens: level(&TOKENS, headers, now),
        }
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none()
    }
}

fn level(names: &[Names], headers: &HeaderMap, now: SystemTime) -> Option<Level> {
    // Without `remaining` a limit says nothing about now.
    names.iter().find_map(|names| {
        Some(Level {
            remaining: amount(headers, &names.remaining)?,
            limit: amount(headers, &names.limit),
            reset: hint::first(headers, &names.reset, |text| {
                hint::reset(text, hint::server_time(headers, now))
            }),
        })
    })
}

fn amount(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    hint::first(headers, name, |text| {
        u64::try_from(time::scaled(text, 1)?).ok()
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn levels(rows: &[(&'static str, &'static str)]) -> Levels {
        let headers = rows
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Levels::of(&headers, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn the_spellings_of_hosts() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        for (rows, requests, tokens) in [
            (
                &[
                    ("x-ratelimit-limit-requests", "60"),
                    ("x-ratelimit-remaining-requests", "59"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-limit-tokens", "150000"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ] as &[_],
                Some((Some(60), 59, seconds(1.0))),
                Some((Some(150_000), 149_984, seconds(360.0))),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "14370"),
                    ("x-ratelimit-reset-requests", "2m59.56s"),
                ],
                Some((None, 14_370, seconds(179.56))),
                None,
            ),
            (
                &[
                    ("x-ratelimit-limit-tokens-minute", "60000"),
                    ("x-ratelimit-remaining-tokens-minute", "0"),
                    ("x-ratelimit-reset-tokens-minute", "11.382"),
                ],
                None,
                Some((Some(60_000), 0, seconds(11.382))),
            ),
            (
                &[
                    ("anthropic-ratelimit-requests-limit", "50"),
                    ("anthropic-ratelimit-requests-remaining", "49"),
                    ("anthropic-ratelimit-requests-reset", "1970-01-01T00:00:02Z"),
                ],
                Some((Some(50), 49, seconds(2.0))),
                None,
            ),
            (&[("x-ratelimit-remaining-tokens", "-1")], None, None),
            (&[("x-ratelimit-remaining-tokens", "many")], None, None),
            (&[("x-ratelimit-limit-tokens", "7")], None, None),
            (&[], None, None),
        ] {
            let of = |level: Option<Level>| level.map(|it| (it.limit, it.remaining, it.reset));
            let found = levels(rows);
            assert_eq!(
                (of(found.requests), of(found.tokens)),
                (requests, tokens),
                "{rows:?}"
            );
            assert_eq!(found.is_empty(), requests.is_none() && tokens.is_none());
        }
    }
}
