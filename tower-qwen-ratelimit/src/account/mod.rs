//! The gates of one key, all or nothing, and the queue before them.
//!
//! [`Account`] is the lock around a `State`: it admits calls (`admit`, `wait`, `head`), settles
//! them (`settle`), follows what the provider says (`provider`), and, where a fleet shares it, what
//! the store grants (`grants`, `fleet_head`, `parts`, `shared`).
//!
//! Lock order: the account's lock, then the link's. Wakers, observers and the
//! store's queue are called when the account's lock is released, since they run code of others.

mod account;
mod admit;
mod charge;
#[cfg(feature = "redis")]
mod fleet_head;
#[cfg(feature = "redis")]
mod grants;
mod head;
mod idle;
mod life;
#[cfg(feature = "redis")]
mod parts;
mod provider;
mod quota_status;
mod request;
mod settle;
#[cfg(feature = "redis")]
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod wait;

pub(crate) use account::{Account, AccountConfig};
pub(crate) use charge::{Charge, Outcome};
pub(crate) use idle::Idle;
pub(crate) use life::{Life, Phase};
pub(crate) use quota_status::QuotaStatus;
pub(crate) use request::{AdmitRequest, Pace, WaitLimit, WaitOutcome};
