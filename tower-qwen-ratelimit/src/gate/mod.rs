//! Pure arithmetic of the gates: integers, no clock, rounded against us.
//!
//! Time is given as nanoseconds since an epoch of the account's own ([`Nanos`]); amounts are requests or tokens.

mod bucket;
mod concurrency;
mod day;
mod gate;
mod part;
mod window;

pub(crate) use bucket::Bucket;
pub(crate) use concurrency::Running;
pub(crate) use day::{Day, DayNumber};
pub(crate) use gate::{Gate, Stated};
pub(crate) use part::Part;
pub(crate) use window::{Slot, Window};

/// Nanoseconds since the account's epoch.
pub(crate) type Nanos = u64;

/// An instant that never comes.
pub(crate) const NEVER: Nanos = Nanos::MAX;
