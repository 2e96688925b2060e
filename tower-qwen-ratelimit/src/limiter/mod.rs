//! Holds one account per key and admits calls to it.

mod builder;
mod caller_account;
mod faults;
#[cfg(feature = "redis")]
mod fleet_of_callers;
mod limiter;
mod predict;
mod quotas;
mod rate;
mod table;

#[cfg(test)]
mod caller_account_tests;
#[cfg(test)]
mod rate_tests;
#[cfg(test)]
mod table_stress_tests;
#[cfg(test)]
mod table_tests;

pub use builder::LimiterBuilder;
pub use faults::InvalidLimiter;
pub use limiter::Limiter;
pub use quotas::Quotas;

pub(crate) use caller_account::{CallerAccount, Decision, Leasing};
