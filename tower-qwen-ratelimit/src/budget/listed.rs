use super::{lease::Outage, places::PlaceId};

/// What a fleet shares.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// While the store is away.
    pub(super) outage: Option<Outage>,
    /// Accounts that may hold something.
    pub(super) listed: Vec<PlaceId>,
}
