use crate::shared::clock::Instant;

/// The account that admitted this call is closed until this instant, and delays the call's retry
/// until then.
///
/// The layer that closed the account, such as Admission, puts it into the extensions of the
/// throttled answer. Retry then does not wait by itself: it sends the call to the account without
/// delay. The call keeps its position in the queue, and the account times all its calls together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PacedUntil {
    /// When the account opens again, by what is known now.
    pub until: Instant,
    /// Whether the provider rejects every call: it has accepted none between this rejection and
    /// those before. Then the cause is not this call, and Retry does not count the rejection
    /// against it.
    pub outage: bool,
    /// Whether other calls share the cause: the account has sent as much as the provider grants, or
    /// the provider rejects every call and others wait for it too. Then Retry does not count a
    /// throttle against this call.
    pub shared: bool,
}

impl PacedUntil {
    /// For an account that is closed until `until`, without an outage.
    #[must_use]
    pub fn new(until: Instant) -> Self {
        Self {
            until,
            outage: false,
            shared: false,
        }
    }

    /// Whether other calls share the cause.
    #[must_use]
    pub fn shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }

    /// Whether the provider rejects every call.
    #[must_use]
    pub fn outage(mut self, outage: bool) -> Self {
        self.outage = outage;
        self
    }
}
