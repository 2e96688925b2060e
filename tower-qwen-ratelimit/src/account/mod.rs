//! The gates of one key, all or nothing, and the queue before them.

mod account;
mod charge;
mod grants;
mod head;
mod idle;
mod provider;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod try_acquire;

pub(crate) use account::{Account, Ask, Entered, Latest, Manner, Turn};
pub(crate) use charge::{Charge, Outcome};
pub(crate) use idle::Idle;
pub(crate) use try_acquire::Left;
