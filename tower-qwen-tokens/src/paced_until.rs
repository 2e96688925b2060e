use crate::internal::clock::Instant;

/// The account that admitted this call is closed until an instant and will hold its retry until then.
///
/// Put into the extensions of a throttled answer by whoever closed the account, Admission for one. Retry then need not
/// wait out the throttle itself: it comes back at once, at the place of the call's arrival, and the account does the
/// timing for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PacedUntil {
    /// When the account opens again, as far as is known now.
    pub until: Instant,
    /// Whether the provider refuses whatever is sent: it has accepted nothing between this refusal and those before. Then
    /// the refusal says nothing of this call, which need not give up for it.
    pub outage: bool,
}

impl PacedUntil {
    /// A mark for an account that is closed until `until`, for all that is known because of this call.
    #[must_use]
    pub fn new(until: Instant) -> Self {
        Self {
            until,
            outage: false,
        }
    }

    /// Whether the provider refuses whatever is sent.
    #[must_use]
    pub fn outage(mut self, outage: bool) -> Self {
        self.outage = outage;
        self
    }
}
