use std::fmt;

/// Why a call failed, as far as the answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Cause {
    /// Too many requests per minute or second.
    RequestRate,
    /// Too many tokens per minute or second.
    TokenRate,
    /// The rate of requests grew too fast.
    Growth,
    /// Too many calls at the same time.
    Concurrency,
    /// The provider has no capacity left; not the caller's quota.
    Capacity,
    /// A throttle that does not say which kind it is.
    Throttled,
    /// The server failed.
    ServerError,
    /// The server gave up waiting for itself or for the caller.
    Timeout,
    /// The service or the model is not available at the moment.
    Unavailable,
    /// The connection broke, or none came about.
    Transport,
    /// The free tier of the model is used up.
    FreeTier,
    /// The account: in arrears, its plan used up, the service not opened.
    Account,
    /// The key is wrong, or belongs to another region or plan.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// No such model or path.
    NotFound,
    /// The request is malformed or out of range.
    InvalidRequest,
    /// Refused by content inspection.
    ContentFilter,
    /// The request is too large: its body, its prompt for the model's context window, or its tokens for a whole limit.
    TooLarge,
    /// An asynchronous call to a model that only answers synchronously.
    AsyncUnsupported,
    /// None of the above.
    Other,
}

impl Cause {
    /// Every cause, in the order of declaration.
    pub const ALL: &'static [Self] = &[
        Self::RequestRate,
        Self::TokenRate,
        Self::Growth,
        Self::Concurrency,
        Self::Capacity,
        Self::Throttled,
        Self::ServerError,
        Self::Timeout,
        Self::Unavailable,
        Self::Transport,
        Self::FreeTier,
        Self::Account,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::InvalidRequest,
        Self::ContentFilter,
        Self::TooLarge,
        Self::AsyncUnsupported,
        Self::Other,
    ];

    /// Whether the call was throttled: rejected for its rate or for lack of capacity, not for its
    /// content.
    #[must_use]
    pub fn is_throttle(self) -> bool {
        matches!(
            self,
            Self::RequestRate
                | Self::TokenRate
                | Self::Growth
                | Self::Concurrency
                | Self::Capacity
                | Self::Throttled
        )
    }

    /// Whether the same request may succeed later, as a rule: a throttle, or a failure on the server's side or on the way.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self.is_throttle()
            || matches!(
                self,
                Self::ServerError | Self::Timeout | Self::Unavailable | Self::Transport
            )
    }

    /// The name in `snake_case`, for metrics. Stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RequestRate => "request_rate",
            Self::TokenRate => "token_rate",
            Self::Growth => "growth",
            Self::Concurrency => "concurrency",
            Self::Capacity => "capacity",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Transport => "transport",
            Self::FreeTier => "free_tier",
            Self::Account => "account",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::InvalidRequest => "invalid_request",
            Self::ContentFilter => "content_filter",
            Self::TooLarge => "too_large",
            Self::AsyncUnsupported => "async_unsupported",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Cause;

    #[test]
    fn names_are_distinct_snake_case() {
        let names: HashSet<_> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(names.len(), Cause::ALL.len());
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
        }
    }

    #[test]
    fn throttles_are_the_first_six() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause.is_throttle(), at < 6, "{cause}");
        }
    }

    #[test]
    fn the_transient_ones_are_the_first_ten() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause.is_transient(), at < 10, "{cause}");
        }
    }
}
