//! Why a call was refused before anything was sent.

use std::{error::Error, fmt, time::Duration};

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectKind {
    /// The call costs more than a whole window allows. No wait helps.
    TooLarge,
    /// Its turn would come later than the longest wait allowed.
    MaxWait,
    /// Its turn would come after the caller's deadline.
    Deadline,
    /// Too many calls are waiting already.
    QueueFull,
    /// The store that a fleet shares is away, and calls are to be refused meanwhile.
    #[cfg(feature = "redis")]
    StoreAway,
}

/// A call that was refused before anything was sent. Nothing is reserved for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Why.
    #[must_use]
    pub fn kind(&self) -> RejectKind {
        self.kind
    }

    /// How long the call would have waited, as far as the queue ahead and today's rate tell; `None` where no wait helps.
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

impl Error for Rejected {}
