use std::time::Duration;

use crate::shared::clock::{Instant, now};

/// The instant at which the caller stops waiting. Put into the request's extensions by the caller.
///
/// Admission refuses at once a call whose turn would come later; Retry begins no wait that would pass it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline at this instant.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// A deadline this long from now. A duration too long for the clock counts as thirty years.
    #[must_use]
    pub fn after(duration: Duration) -> Self {
        // Tokio's own "far future": a longer one overflows the clock of some systems.
        const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
        let now = now();
        Self(now.checked_add(duration).unwrap_or(now + FAR))
    }

    /// The instant.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }
}
