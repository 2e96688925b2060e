use std::sync::atomic::{AtomicU64, Ordering};

use super::RejectionKind;

/// How many calls a layer has admitted and rejected so far. In shadow mode: how many it would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnforceCounts {
    /// Calls admitted and charged.
    pub admitted: u64,
    /// Calls rejected because too few requests remained.
    pub requests: u64,
    /// Calls rejected because too few tokens remained.
    pub tokens: u64,
    /// Calls rejected because they need more tokens than a whole window has.
    pub too_large: u64,
    /// Calls rejected because their quota has no requests at all.
    pub closed: u64,
    /// Calls rejected because of a budget.
    pub budget: u64,
    /// Calls rejected because the store of their quota was away.
    pub store_away: u64,
    /// Calls that had to wait ([`EnforceLayer::queue`](crate::EnforceLayer::queue)), those that were rejected in the end too.
    pub queued: u64,
    /// Calls answered with 400 or 413 because their body could not be read.
    pub unread: u64,
}

// Relaxed everywhere: the figures are for people, no other memory depends on them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    admitted: AtomicU64,
    requests: AtomicU64,
    tokens: AtomicU64,
    too_large: AtomicU64,
    closed: AtomicU64,
    budget: AtomicU64,
    store_away: AtomicU64,
    queued: AtomicU64,
    unread: AtomicU64,
}

impl EnforceCounts {
    /// Calls rejected because of their quota or a budget; unread bodies are not counted.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        [
            self.requests,
            self.tokens,
            self.too_large,
            self.closed,
            self.budget,
            self.store_away,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

impl Counters {
    pub(super) fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unread(&self) {
        self.unread.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn over_budget(&self) {
        self.budget.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rejected(&self, kind: RejectionKind) {
        let counter = match kind {
            RejectionKind::Requests => &self.requests,
            RejectionKind::Tokens => &self.tokens,
            RejectionKind::TooLarge => &self.too_large,
            RejectionKind::Closed => &self.closed,
            RejectionKind::StoreAway => &self.store_away,
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
            budget: read(&self.budget),
            store_away: read(&self.store_away),
            queued: read(&self.queued),
            unread: read(&self.unread),
        }
    }
}
