use std::{fmt, time::Duration};

use tower_qwen_tokens::internal::clock::Instant;

use crate::{adapt::Beliefs, key::Key, quota::Quota, units::Fraction};

/// A call's number at the store. Unique within a process.
pub(crate) type CallId = u64;

/// An account as its fleet sees it: the seam between the two.
///
/// An account pushes what happens to its calls into the [`Link`](super::Link). The driver of the
/// store takes that out at the other end, and calls these. The link's lock is not held meanwhile:
/// they take the account's, under which the account takes the link's.
pub(crate) trait SharedAccount: fmt::Debug + Send + Sync {
    fn key(&self) -> &Key;

    fn quota(&self) -> Quota;

    /// What the process is to report; `None` where it has had nothing to do at the account for a
    /// window.
    fn heartbeat(&self) -> Option<Heartbeat>;

    /// The answer to a heartbeat that was sent at `sent_at`. What it grants is granted for `term`.
    fn on_heartbeat(&self, reply: HeartbeatReply, sent_at: Instant, term: Duration);

    /// The answer to a booking.
    fn on_booking(&self, id: CallId, reply: BookingReply);

    /// The store does not answer.
    fn on_store_away(&self);

    /// The store answers again: the driver has had an answer already, or asks soon.
    fn on_store_back(&self);

    /// The store rejects this account alone: for it, the store is away.
    fn on_rejection(&self, reason: &str);

    /// The store has accepted this account.
    fn on_acceptance(&self);

    /// Whether the store rejects this account.
    fn is_rejected(&self) -> bool;
}

/// What was accepted within the latest window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// What a process reports of itself at an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The part of the quota that it runs on.
    pub(crate) held: Fraction,
    /// The part that it could use.
    pub(crate) wanted: Fraction,
    /// What it has learned of the provider's limits.
    pub(crate) beliefs: Beliefs,
    /// Calls that may run at one time, in the fleet.
    pub(crate) most_running: u64,
    pub(crate) slots_held: u64,
    pub(crate) slots_wanted: u64,
    /// The tokens of the largest call that it knows of.
    pub(crate) largest_call: u64,
    pub(crate) used: Used,
}

/// What the store says of the fleet, and grants this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeartbeatReply {
    pub(crate) members: u64,
    /// Those of them that have something to send.
    pub(crate) busy: u64,
    /// The part of the quota that this process may run on.
    pub(crate) granted: Fraction,
    pub(crate) closed_for: Duration,
    /// What the fleet has learned of the provider's limits.
    pub(crate) beliefs: Beliefs,
    /// Calls that this process may run at one time.
    pub(crate) slots: u64,
    /// How far ahead the latest booking lies.
    pub(crate) booked_ahead: Duration,
    /// The tokens of the largest call that any process knows of.
    pub(crate) largest_call: u64,
    /// What the others have used, as each last reported it.
    pub(crate) others: Used,
    /// Whether requests and tokens are used as fast as they flow in, by the store's buckets.
    pub(crate) is_used: (bool, bool),
    /// Whether the store knew nothing of the account.
    pub(crate) is_new: bool,
    /// Where processes of another version store the account too: the number of our format, and theirs.
    pub(crate) formats: Option<(u32, u32)>,
}

/// The store's answer to a booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BookingReply {
    /// It goes after this time.
    In(Duration),
    /// It would go after this time, which is beyond its limit; nothing is booked.
    TooLate(Duration),
    /// The booking may be tried again after this time; nothing is booked.
    RetryAfter(Duration),
    /// It can never go, or was given back before it was booked.
    Never,
}
