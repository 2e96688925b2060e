//! Processes that share one quota, through [`redis`], the one store that there is.

// Every process keeps accounts of its own, with queue, estimates and feedback; what a fleet shares
// are the gates. The seam is `SharedAccount`: an account pushes what becomes of its calls into a
// `Link`, a bounded queue; the store's driver takes it out at the other end and answers into the
// accounts. Nothing here waits, and nothing is polled. The fleet knows no account but by that trait.
//
// Lock order: an account's lock, then the link's. Operations hold accounts, and an account holds a
// handle of the link, so operations are dropped when the link's lock is released.

mod account_link;
mod amount_store;
mod flush;
#[cfg(test)]
pub(crate) mod lease_model;
mod link;
mod op;
mod op_queue;
pub mod redis;
mod shared_account;
#[cfg(test)]
mod tests;
mod usage;
mod work;

pub(crate) use account_link::AccountLink;
pub(crate) use flush::FlushProgress;
pub(crate) use link::{Handle, Link, Terms};
pub(crate) use op::Op;
pub(crate) use op_queue::{FlushEpoch, OpBatch};
pub(crate) use shared_account::{
    BookingReply, CallId, Heartbeat, HeartbeatReply, SharedAccount, Used,
};
pub(crate) use usage::{UsageBatch, UsageQuery};
pub(crate) use work::{Linger, Work};
