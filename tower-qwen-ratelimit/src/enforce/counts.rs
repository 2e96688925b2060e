use std::sync::atomic::{AtomicU64, Ordering};

use super::RejectionKind;

/// What a layer has done so far. In shadow mode, what it would have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnforceCounts {
    /// Calls let through and charged.
    pub admitted: u64,
    /// Calls refused for want of requests.
    pub requests: u64,
    /// Calls refused for want of tokens.
    pub tokens: u64,
    /// Calls refused that need more tokens than a whole window has.
    pub too_large: u64,
    /// Calls refused whose quota has no requests at all.
    pub closed: u64,
    /// Calls answered with 400 or 413 because their body could not be read.
    pub unread: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    admitted: AtomicU64,
    requests: AtomicU64,
    tokens: AtomicU64,
    too_large: AtomicU64,
    closed: AtomicU64,
    unread: AtomicU64,
}

impl EnforceCounts {
    /// Calls refused for their quota.
    #[must_use]
    pub fn refused(&self) -> u64 {
        [self.requests, self.tokens, self.too_large, self.closed]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl Counters {
    pub(super) fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unread(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, kind: RejectionKind) {
        let counter = match kind {
            RejectionKind::Requests => &self.requests,
            RejectionKind::Tokens => &self.tokens,
            RejectionKind::TooLarge => &self.too_large,
            RejectionKind::Closed => &self.closed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> EnforceCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EnforceCounts {
            admitted: read(&self.admitted),
            requests: read(&self.requests),
            tokens: read(&self.tokens),
            too_large: read(&self.too_large),
            closed: read(&self.closed),
            unread: read(&self.unread),
        }
    }
}
