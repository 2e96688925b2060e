use std::task::Waker;

use super::{Priority, slab::Slab};
use crate::units::Nanos;

/// All waiters, of all lists.
pub(super) type Waiters = Slab<Waiter>;

#[derive(Debug, Default)]
pub(super) struct Waiter {
    pub(super) arrived: Nanos,
    pub(super) tokens: u64,
    pub(super) priority: Priority,
    pub(super) flow: usize,
    pub(super) waker: Option<Waker>,
    pub(super) links: [Links; 2],
}

/// A waiter's neighbours in one of the lists that it is in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Links {
    prev: Option<usize>,
    next: Option<usize>,
}

/// The list in whose order waiters go: that of a class, or of a flow.
pub(super) const ORDER: usize = 0;
/// The list of all waiters of a class whose flows are ordered otherwise.
pub(super) const AGE: usize = 1;

/// Waiters in the order of their calls' arrival; a retried call keeps the instant of its first
/// arrival.
///
/// A doubly linked list through [`Waiters`]: joining at either end and leaving from anywhere touch
/// a few of them only.
#[derive(Debug, Default)]
pub(super) struct Fifo<const LINKS: usize = ORDER> {
    first: Option<usize>,
    last: Option<usize>,
    len: u64,
    tokens: u128,
}

/// Where a newcomer would join a list. Valid as long as the list does not change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gap {
    /// Calls ahead of it.
    pub(super) requests: u64,
    /// Their tokens.
    pub(super) tokens: u128,
    next: Option<usize>,
}

impl<const LINKS: usize> Fifo<LINKS> {
    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn tokens(&self) -> u128 {
        self.tokens
    }

    /// Where a call that arrived at `arrived` would join: behind all that arrived no later.
    ///
    /// Searches from both ends at once, since newcomers belong to the end and retried calls near
    /// the beginning.
    pub(super) fn gap(&self, waiters: &Waiters, arrived: Nanos) -> Gap {
        let (mut front, mut before) = (self.first, (0u64, 0u128));
        let (mut back, mut behind) = (self.last, (0u64, 0u128));
        while let (Some(first), Some(last)) = (front, back) {
            let (first, last) = (waiters.at(first), waiters.at(last));
            // Equal arrivals keep the order of joining.
            if last.arrived <= arrived {
                return Gap {
                    requests: self.len - behind.0,
                    tokens: self.tokens - behind.1,
                    next: last.links[LINKS].next,
                };
            }
            if first.arrived > arrived {
                break;
            }
            front = first.links[LINKS].next;
            before = (before.0 + 1, before.1 + u128::from(first.tokens));
            back = last.links[LINKS].prev;
            behind = (behind.0 + 1, behind.1 + u128::from(last.tokens));
        }
        Gap {
            requests: before.0,
            tokens: before.1,
            next: front,
        }
    }

    /// Inserts a waiter where [`Fifo::gap`] said.
    pub(super) fn insert(&mut self, waiters: &mut Waiters, gap: Gap, index: usize) {
        let prev = match gap.next {
            Some(next) => waiters.at(next).links[LINKS].prev,
            None => self.last,
        };
        let waiter = waiters.at_mut(index);
        waiter.links[LINKS] = Links {
            prev,
            next: gap.next,
        };
        self.len += 1;
        self.tokens += u128::from(waiter.tokens);
        *self.link_after(waiters, prev) = Some(index);
        *self.link_before(waiters, gap.next) = Some(index);
    }

    pub(super) fn remove(&mut self, waiters: &mut Waiters, index: usize) {
        let waiter = waiters.at_mut(index);
        let Links { prev, next } = std::mem::take(&mut waiter.links[LINKS]);
        self.len -= 1;
        self.tokens -= u128::from(waiter.tokens);
        *self.link_after(waiters, prev) = next;
        *self.link_before(waiters, next) = prev;
    }

    fn link_after<'a>(
        &'a mut self,
        waiters: &'a mut Waiters,
        index: Option<usize>,
    ) -> &'a mut Option<usize> {
        match index {
            Some(index) => &mut waiters.at_mut(index).links[LINKS].next,
            None => &mut self.first,
        }
    }

    fn link_before<'a>(
        &'a mut self,
        waiters: &'a mut Waiters,
        index: Option<usize>,
    ) -> &'a mut Option<usize> {
        match index {
            Some(index) => &mut waiters.at_mut(index).links[LINKS].prev,
            None => &mut self.last,
        }
    }
}
