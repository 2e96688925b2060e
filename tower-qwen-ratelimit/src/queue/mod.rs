//! The calls that wait at an account, and which of them is next.
//!
//! [`WaitQueue`] is the seam. Its users see positions, tickets and wakers; the [`Discipline`]
//! decides which waiter is the head. Pure bookkeeping, no clock: the account's lock guards it, and
//! the wakers that it hands out ([`Wakes`]) are woken once that lock is released.

mod counter;
mod discipline;
mod fair;
mod fifo;
mod flow;
mod queue;
mod slab;
#[cfg(test)]
mod tests;
mod wakes;

pub use discipline::{Discipline, Weight};

pub(crate) use flow::{FlowKey, Served};
pub(crate) use queue::{Ahead, Position, Ticket, WaitQueue};
pub(crate) use wakes::Wakes;
