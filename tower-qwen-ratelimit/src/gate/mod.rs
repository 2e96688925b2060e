//! Pure arithmetic of the gates: integers, no clock, rounded against us.
//!
//! Time is given as nanoseconds since an epoch of the account's own
//! ([`Nanos`](crate::units::Nanos)); amounts are requests or tokens.

mod bucket;
mod buckets;
mod concurrency;
mod day;
mod gate;
#[cfg(feature = "redis")]
mod part;
#[cfg(test)]
mod tests;
mod window;

#[cfg(all(test, feature = "redis"))]
pub(crate) use buckets::Buckets;
#[cfg(any(test, feature = "redis"))]
pub(crate) use buckets::Capacity;
pub(crate) use concurrency::Concurrency;
pub(crate) use day::{Day, DayNumber};
pub(crate) use gate::{Gate, ProviderLevel};
pub(crate) use window::{SlotNumber, Window};
