//! Why a client's call was rejected before anything was sent.

use std::{fmt, time::Duration};

/// Why a call was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectKind {
    /// The call costs more than a whole window allows. Waiting does not help.
    TooLarge,
    /// The wait for quota would exceed, or has exceeded, the longest wait
    /// ([`AdmissionLayer::max_wait`](crate::AdmissionLayer::max_wait),
    /// [`Acquire::max_wait`](crate::Acquire::max_wait)).
    /// [`Limiter::try_acquire`](crate::Limiter::try_acquire) rejects every call that would have to
    /// wait with it.
    MaxWait,
    /// The wait for quota would pass, or has passed, the call's
    /// [`Deadline`](tower_qwen_tokens::Deadline).
    Deadline,
    /// Too many calls are waiting: [`max_queued`](crate::LimiterBuilder::max_queued) of them.
    QueueFull,
    /// The store of a fleet cannot be reached, and the outage policy is
    /// [`OutagePolicy::Reject`](crate::OutagePolicy::Reject).
    #[cfg(feature = "redis")]
    StoreAway,
}

/// The error of a call that was rejected before anything was sent. Nothing is reserved for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct Rejected {
    kind: RejectKind,
    predicted_wait: Option<Duration>,
}

impl Rejected {
    pub(crate) fn new(kind: RejectKind, predicted_wait: Option<Duration>) -> Self {
        Self {
            kind,
            predicted_wait,
        }
    }

    /// Why the call was rejected.
    #[must_use]
    pub fn kind(&self) -> RejectKind {
        self.kind
    }

    /// Estimated wait at the current rate, given the calls ahead; `None` if waiting does not help.
    #[must_use]
    pub fn predicted_wait(&self) -> Option<Duration> {
        self.predicted_wait
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RejectKind::TooLarge => "the call costs more than the quota of a whole window",
            RejectKind::MaxWait => "the wait for quota would be longer than allowed",
            RejectKind::Deadline => "the wait for quota would pass the deadline",
            RejectKind::QueueFull => "too many calls wait for quota",
            #[cfg(feature = "redis")]
            RejectKind::StoreAway => "the store of the shared quota is away",
        })?;
        match self.predicted_wait {
            Some(wait) => write!(f, " (predicted wait: {wait:?})"),
            None => Ok(()),
        }
    }
}
