use std::time::Duration;

use tower_qwen_tokens::Cause;

#[cfg(feature = "redis")]
use crate::sharing::OutagePolicy;
use crate::{error::Rejected, key::Key};

/// Something that happened at an account.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LimiterEvent<'a> {
    /// A call had its turn.
    #[non_exhaustive]
    Admitted {
        /// Whose account it is.
        key: &'a Key,
        /// From the call's arrival (its first one, where it is retried) to its turn.
        waited: Duration,
        /// What was set aside for it. Unit: tokens.
        reserved: u64,
    },
    /// A call was refused before anything was sent.
    #[non_exhaustive]
    Rejected {
        /// Whose account it is.
        key: &'a Key,
        /// Why.
        rejected: Rejected,
    },
    /// It is known what a call cost, or that nothing more will be known.
    #[non_exhaustive]
    Settled {
        /// Whose account it is.
        key: &'a Key,
        /// What had been set aside. Unit: tokens.
        reserved: u64,
        /// What it cost. Unit: tokens.
        used: u64,
        /// Whether that is known; otherwise the estimate stands.
        known: bool,
    },
    /// The provider throttled a call.
    #[non_exhaustive]
    Throttled {
        /// Whose account it is.
        key: &'a Key,
        /// Why.
        cause: Cause,
        /// For how long the account is closed now.
        closed_for: Duration,
        /// Whether our own count of tokens left room for it. Then the provider may hold the ceiling of a call while it runs
        /// ([`Reserve::Ceiling`](crate::Reserve::Ceiling)), others may use the same account, or the quota is set too high.
        unexplained: bool,
    },
    /// The store that a fleet shares does not answer. Told once, until it is back.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreAway {
        /// What becomes of calls meanwhile.
        outage: OutagePolicy,
        /// What happened, in words.
        reason: &'a str,
    },
    /// The store refuses an account, since others share it under other terms, and goes on with the rest. Told once, until it
    /// is accepted.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreRejected {
        /// Whose account it is.
        key: &'a Key,
        /// What becomes of its calls meanwhile.
        outage: OutagePolicy,
        /// What the store says.
        reason: &'a str,
    },
    /// The store is back.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreBack {
        /// How long it was away.
        away_for: Duration,
    },
}
