//! Pure arithmetic of the gates: integers, no clock, rounded against us.
//!
//! Time is given as nanoseconds since an epoch of the account's own ([`Nanos`]); amounts are requests or tokens.

mod bucket;
mod day;
mod dimension;
mod part;
mod running;
mod window;

pub(crate) use bucket::Bucket;
pub(crate) use day::{Day, DayNumber};
pub(crate) use dimension::{Gate, Stated};
pub(crate) use part::Part;
pub(crate) use running::Running;
pub(crate) use window::{Slot, Window};

/// Nanoseconds since the account's epoch.
pub(crate) type Nanos = u64;

/// An instant that never comes.
pub(crate) const NEVER: Nanos = Nanos::MAX;
