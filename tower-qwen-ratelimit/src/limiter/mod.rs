//! Holds one account per key and admits calls to it.

mod builder;
mod caller_account;
mod limiter;
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

pub use builder::{InvalidLimiter, LimiterBuilder};
pub use limiter::Limiter;

pub(crate) use caller_account::CallerAccount;
