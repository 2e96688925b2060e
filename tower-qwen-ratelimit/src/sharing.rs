//! How processes share an account, in the words of their users.

/// How the processes of a fleet share an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// Each call is booked at the store, one at a time per process: one round trip per call, and no
    /// call more than the quota allows. For quotas of some thousand calls a minute.
    #[default]
    Booking,
    /// Each process has a part of the rate for some time and serves from memory: no round trip per
    /// call. Parts follow what processes use.
    Lease,
}

/// What happens to calls while the store cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutagePolicy {
    /// Each process goes on with the n-th part of the quota, that of a day too, or of what was left of a
    /// budget, n being the
    /// processes that lived when the store was last heard, whether or not they had calls.
    #[default]
    LocalShare,
    /// Calls are sent without a limit of ours; only throttles of the provider hold them back.
    Unlimited,
    /// Calls are rejected.
    Reject,
}
