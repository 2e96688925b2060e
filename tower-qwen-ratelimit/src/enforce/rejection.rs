use std::{error::Error, fmt, time::Duration};

use crate::{
    key::Key,
    limiter::{Denied, Dimension, Tenant},
};

/// Why a call was refused, or in shadow mode would have been. Stands in the answer's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    kind: RejectionKind,
    key: Key,
    wait: Option<Duration>,
    limit: u64,
    window: Duration,
    shadow: bool,
}

/// What a refused call lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// Requests: 429.
    Requests,
    /// Tokens: 429.
    Tokens,
    /// More tokens than a whole window has: 413. No wait helps.
    TooLarge,
    /// The quota has no requests at all: 403. No wait helps.
    Closed,
}

impl Rejection {
    pub(super) fn new(denied: Denied, tenant: &Tenant, limits: Limits, shadow: bool) -> Self {
        let (kind, limit) = match (denied.dimension, denied.wait) {
            (Dimension::Requests, Some(_)) => (RejectionKind::Requests, limits.requests),
            (Dimension::Requests, None) => (RejectionKind::Closed, 0),
            (Dimension::Tokens, Some(_)) => (RejectionKind::Tokens, limits.tokens),
            (Dimension::Tokens, None) => (RejectionKind::TooLarge, limits.tokens),
        };
        Self {
            kind,
            key: tenant.key().clone(),
            wait: denied.wait,
            limit,
            window: tenant.window(),
            shadow,
        }
    }

    /// What the call lacked.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Whose account it was to be charged to.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// After what time the call will be admitted if no other comes before it; `None` where no wait helps.
    ///
    /// `Retry-After` is this, in whole seconds, rounded up.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// Whether the call went through all the same; see [`EnforceLayer::shadow`](super::EnforceLayer::shadow).
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// The quota that was too small: requests or tokens per window.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn window(&self) -> Duration {
        self.window
    }

    /// The value of `Retry-After`: whole seconds, rounded up, never 0.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.wait.map(retry_after)
    }
}

/// The limits that a refusal may name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) requests: u64,
    pub(super) tokens: u64,
}

/// Whole seconds, rounded up, never 0.
fn retry_after(wait: Duration) -> u64 {
    whole_seconds(wait).max(1)
}

/// Seconds, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

impl RejectionKind {
    /// The name for metrics. Stable.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::TooLarge => "too_large",
            Self::Closed => "closed",
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
        })?;
        match self.wait {
            Some(wait) => write!(f, " (wait: {wait:?})"),
            None => Ok(()),
        }
    }
}

impl Error for Rejection {}

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
