use std::time::{Duration, SystemTime};

use tower_qwen_tokens::Cause;

#[cfg(feature = "redis")]
use crate::sharing::OutagePolicy;
use crate::{error::Rejected, key::Key, queue::Priority};

/// An event of a limiter's account.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum LimiterEvent<'a> {
    /// A call was admitted.
    #[non_exhaustive]
    Admitted {
        /// The key of the account.
        key: &'a Key,
        /// From the call's arrival to its admission. A retried call keeps the arrival of its first
        /// attempt, so this includes the attempts before.
        waited: Duration,
        /// Tokens reserved for it.
        reserved: u64,
        /// Its class.
        priority: Priority,
    },
    /// A call was rejected before anything was sent.
    #[non_exhaustive]
    Rejected {
        /// The key of the account.
        key: &'a Key,
        /// The error that the caller gets.
        rejected: Rejected,
    },
    /// A call was settled: its cost is known, or it is known that it never will be.
    #[non_exhaustive]
    Settled {
        /// The key of the account.
        key: &'a Key,
        /// Tokens that were reserved.
        reserved: u64,
        /// Tokens that it cost.
        used: u64,
        /// Whether the cost is known; otherwise `used` follows from the estimate and the outcome.
        known: bool,
    },
    /// The provider throttled a call.
    #[non_exhaustive]
    Throttled {
        /// The key of the account.
        key: &'a Key,
        /// The cause that the provider named.
        cause: Cause,
        /// How long the account stays closed from now on.
        closed_for: Duration,
        /// Whether our own count of tokens left room for the call; see
        /// [`AccountSnapshot::unexplained_throttles`](crate::AccountSnapshot::unexplained_throttles)
        /// for possible reasons.
        unexplained: bool,
    },
    /// The provider is believed to grant another quota than was reported last (at first: than was given).
    /// Emitted once per change of more than a sixteenth, at the next settlement.
    #[non_exhaustive]
    QuotaLearned {
        /// The key of the account.
        key: &'a Key,
        /// Requests per window.
        requests: u64,
        /// Tokens per window.
        tokens: u64,
    },
    /// All of the quota was used for ten windows in a row, and the provider throttled nothing: more
    /// may be had. Emitted once per account; never for [`Quota::at_least`](crate::Quota::at_least), which
    /// looks for more by itself.
    #[non_exhaustive]
    MoreMayBeHad {
        /// The key of the account.
        key: &'a Key,
    },
    /// A window of the account's plan is used up: the account is closed, and calls are rejected until
    /// it ends. Emitted once for all calls that were under way, and again for each probe that is
    /// rejected for the same reason.
    #[non_exhaustive]
    PlanUsedUp {
        /// The key of the account.
        key: &'a Key,
        /// How long the window is: five hours, a day, a week or a month; a month where the provider
        /// does not name it.
        window: Duration,
        /// When it ends, if the provider says so.
        until: Option<SystemTime>,
    },
    /// The provider stated a wait that nobody can believe: more than 366 days, such as a date in the
    /// year 9999. It was ignored. Emitted once for each account.
    #[non_exhaustive]
    AbsurdWait {
        /// The key of the account.
        key: &'a Key,
        /// Why the call failed whose answer stated it.
        cause: Cause,
    },
    /// The store of a fleet cannot be reached. Emitted once per outage.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreAway {
        /// How calls are treated meanwhile.
        outage: OutagePolicy,
        /// The error, in words.
        reason: &'a str,
    },
    /// The store rejects one account, because other processes share it with other settings. All
    /// other accounts go on. Emitted once, until it is accepted.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreRejected {
        /// The key of the account.
        key: &'a Key,
        /// How its calls are treated meanwhile.
        outage: OutagePolicy,
        /// The store's reason, in words.
        reason: &'a str,
    },
    /// Processes of another version of this crate use the account too, and store it in another format.
    /// The two do not share: each may use the whole quota. Emitted once for each account.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreFormat {
        /// The key of the account.
        key: &'a Key,
        /// The number of this process's format.
        own: u32,
        /// That of the others; 1 where they store none.
        other: u32,
    },
    /// The store can be reached again.
    #[cfg(feature = "redis")]
    #[non_exhaustive]
    StoreBack {
        /// The length of the outage.
        away_for: Duration,
    },
}
