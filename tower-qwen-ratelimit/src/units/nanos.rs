use std::time::Duration;

/// Nanoseconds since an account's epoch, or between two instants.
pub(crate) type Nanos = u64;

/// An instant that never comes.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// A duration in nanoseconds.
// Saturating: 584 years and never make no difference to a call.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
