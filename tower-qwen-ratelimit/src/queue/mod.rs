//! The calls that wait at an account, and which of them is next.
//!
//! [`WaitQueue`] is the seam. Its users see positions, tickets and wakers; [`Priority`] and [`Discipline`]
//! decide which waiter is the head. Pure bookkeeping, no clock: the account's lock guards it, and
//! the wakers that it hands out ([`Wakes`]) are woken once that lock is released.

mod ahead;
mod counter;
mod discipline;
mod fair;
mod fifo;
mod flow;
mod order;
mod priority;
mod queue;
mod slab;
#[cfg(test)]
mod tests;
mod wakes;

pub use discipline::{Discipline, Weight};
pub use priority::Priority;

pub(crate) use ahead::Ahead;
pub(crate) use flow::{FlowKey, Served};
pub(crate) use queue::{DEFAULT_AGEING, Position, Ticket, WaitQueue};
pub(crate) use wakes::Wakes;
