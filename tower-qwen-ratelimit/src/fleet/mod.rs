//! What an account has to do with the other processes of a fleet.
//!
//! Every process keeps accounts of its own, with queue, expectation and feedback; what a fleet shares are the gates. The
//! seam is small: an account of a fleet is told who says when its head may go, and pushes what becomes of its calls into a
//! `Link`. A store's driver takes it out at the other end and answers into the accounts. Nobody here waits, and nothing
//! is polled.

mod flush;
mod handle;
mod link;
mod op;
mod op_queue;
#[cfg(feature = "redis")]
pub mod redis;
mod terms;
#[cfg(test)]
mod tests;
mod usage;

pub use terms::{OutagePolicy, Sharing};
pub use usage::{UsageOfDay, UsageSums};

pub(crate) use flush::Flushing;
pub(crate) use handle::Handle;
pub(crate) use link::{Link, Work};
pub(crate) use op::{Booked, CallId, Heard, Op, Standing};
pub(crate) use op_queue::{Era, Taken};
pub(crate) use terms::Terms;
pub(crate) use usage::{Answer, Batch, Question};
