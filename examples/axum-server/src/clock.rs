//! The time of day: for dates that an operator writes, and never for waits.

use std::time::SystemTime;

/// The present time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "dates are those of the wall clock, and a process may run for months"
)]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
