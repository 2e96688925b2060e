use std::task::Waker;

use crate::units::Nanos;

/// A waiter's index in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(pub(super) usize);

/// All waiters, of all lists. A slab: the slot of one that leaves is used again.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    slots: Vec<Waiter>,
    free: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) arrived: Nanos,
    pub(super) tokens: u64,
    pub(super) flow: usize,
    pub(super) waker: Option<Waker>,
    pub(super) prev: Option<usize>,
    pub(super) next: Option<usize>,
}

impl Waiters {
    /// The capacity that an empty list retains: a burst of this size allocates once, a flood does
    /// not hold memory for ever.
    const RETAINED: usize = 1_024;

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, waiter: Waiter) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.slots[index] = waiter;
                index
            }
            None => {
                self.slots.push(waiter);
                self.slots.len() - 1
            }
        }
    }

    /// Frees the slot of a waiter that is in no list any more.
    pub(super) fn remove(&mut self, index: usize) -> Option<Waker> {
        let waker = self.slots[index].waker.take();
        self.free.push(index);
        // Only when empty: indices of waiters are tickets, which must not move.
        if self.len() == 0 {
            self.slots.clear();
            self.slots.shrink_to(Self::RETAINED);
            self.free.clear();
            self.free.shrink_to(Self::RETAINED);
        }
        waker
    }

    pub(super) fn at(&self, index: usize) -> &Waiter {
        &self.slots[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut Waiter {
        &mut self.slots[index]
    }
}
