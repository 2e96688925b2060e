//! Why a server rejects a call.

use std::{fmt, time::Duration};

use crate::{key::Key, limit::Limit};

/// Why a server rejected a call, or would have in shadow mode. In the extensions of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Rejection {
    pub(crate) kind: RejectionKind,
    pub(crate) key: Key,
    pub(crate) wait: Option<Duration>,
    // Boxed: nearly all calls are admitted, and their result is as large as this.
    pub(crate) limit: Box<Limit>,
    /// The call goes through all the same.
    pub(crate) is_shadow: bool,
}

/// Which limit a rejected call exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Requests per window or period: status 429.
    Requests,
    /// Tokens per window or period: status 429.
    Tokens,
    /// The call needs more tokens than a whole window or period has: status 413. Waiting does not help.
    TooLarge,
    /// The quota has no requests at all: status 403. Waiting does not help.
    Closed,
    /// The store of the fleet does not answer, and [`OutagePolicy::Reject`](crate::OutagePolicy::Reject) says
    /// what then: status 503.
    StoreAway,
}

impl Rejection {
    /// Which limit the call exceeds.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The key of the caller's account.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The limit that it exceeds: the quota's requests or tokens per window, or a further one
    /// ([`Quota::and`](crate::Quota::and)).
    #[must_use]
    pub fn limit(&self) -> Limit {
        *self.limit
    }

    /// The wait after which the call is admitted if no other call comes before it; `None` if
    /// waiting does not help.
    ///
    /// `Retry-After` is this time in whole seconds, rounded up.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Whether the call went through all the same; see
    /// [`EnforceLayer::shadow`](crate::EnforceLayer::shadow).
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// The value of `Retry-After`. Unit: seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.wait.map(retry_after)
    }
}

/// Whole seconds, rounded up. Never 0: clients take 0 for "now", and would come too early.
pub(crate) fn retry_after(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// Seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

impl RejectionKind {
    /// A stable name, for metrics: `requests`, `tokens`, `too_large`, `closed` or `store_away`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::TooLarge => "too_large",
            Self::Closed => "closed",
            Self::StoreAway => "store_away",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RejectionKind::Requests => "the caller's requests are used up",
            RejectionKind::Tokens => "the caller's tokens are used up",
            RejectionKind::TooLarge => "the call needs more tokens than a whole window has",
            RejectionKind::Closed => "the caller's quota has no requests",
            RejectionKind::StoreAway => "the store that counts the caller's quota is away",
        })?;
        match self.wait {
            Some(wait) => write!(f, " (wait: {wait:?})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let rows = [
            (0, 0),
            (1, 1),
            (999_999_999, 1),
            (1_000_000_000, 1),
            (1_000_000_001, 2),
        ];
        for (nanos, seconds) in rows {
            assert_eq!(
                whole_seconds(Duration::from_nanos(nanos)),
                seconds,
                "{nanos}"
            );
        }
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn retry_after_is_never_0() {
        for (nanos, seconds) in [(0, 1), (1, 1), (1_000_000_000, 1), (1_500_000_000, 2)] {
            assert_eq!(retry_after(Duration::from_nanos(nanos)), seconds, "{nanos}");
        }
    }
}
