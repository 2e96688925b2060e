use std::time::Duration;

/// One dimension of a caller's quota at one instant. Unit of the amounts: requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaStatus {
    /// The quota of a window.
    pub(crate) limit: u64,
    /// What can be used now.
    pub(crate) remaining: u64,
    /// The time until more remains; zero while nothing is used.
    pub(crate) more_in: Duration,
    /// The time until the whole quota remains; zero while nothing is used.
    pub(crate) full_in: Duration,
}
