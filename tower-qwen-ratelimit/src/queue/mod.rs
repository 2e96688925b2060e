//! Who waits, and who of them is next.
//!
//! [`Queue`] is the seam. Its users see places, tickets and wakers; which of the waiters is the head, the
//! [`Discipline`] says. Pure bookkeeping, no clock: the account's lock guards it, and what it says is to be woken
//! ([`Wakes`]) is woken once that lock is given up.

mod counter;
mod discipline;
mod fair;
mod fifo;
mod flow;
mod queue;
#[cfg(test)]
mod tests;
mod waiters;
mod wakes;

pub use discipline::{Discipline, Weight};

pub(crate) use flow::{FlowKey, Served};
pub(crate) use queue::{Ahead, Queue};
pub(crate) use waiters::Ticket;
pub(crate) use wakes::Wakes;
