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
mod gate_in_fleet;
mod learning;
mod limits;
#[cfg(feature = "redis")]
mod part;
mod provider_level;
#[cfg(test)]
mod tests;
mod window;

#[cfg(all(test, feature = "redis"))]
pub(crate) use buckets::Buckets;
#[cfg(any(test, feature = "redis"))]
pub(crate) use buckets::Capacity;
pub(crate) use concurrency::Concurrency;
pub(crate) use day::{Day, DayNumber};
pub(crate) use gate::Gate;
pub(crate) use limits::{Amounts, Limits};
pub(crate) use provider_level::ProviderLevel;
pub(crate) use window::{SlotNumber, Window};
