use std::time::Duration;

/// How the processes of a fleet share an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// Each call is booked at the store, one at a time per process: one round trip per call, and no call more than the quota
    /// allows. For quotas of some thousand calls a minute.
    #[default]
    Booking,
    /// Each process has a part of the rate for some time and serves from memory: no round trip per call. Parts follow
    /// what processes use.
    Lease,
}

/// What becomes of calls while the store is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outage {
    /// Each process goes on with the n-th part of the quota, that of a day too, n being the processes that lived when the store
    /// was last heard, whether or not they had calls.
    #[default]
    LocalShare,
    /// Calls go as they come; throttles of the provider are all that holds them.
    Open,
    /// Calls are refused.
    Closed,
}

/// What the processes of a fleet have agreed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) sharing: Sharing,
    pub(crate) outage: Outage,
    /// How long an operation may take before the store counts as away.
    pub(crate) timeout: Duration,
    /// Operations that may wait for the driver.
    pub(crate) capacity: usize,
}
