//! Who is next: an explicit list of waiters, ordered by arrival.

use std::task::Waker;

use crate::gate::Nanos;

/// A waiter's place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// What stands ahead of a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    next: Option<usize>,
}

/// Waiters in the order of their calls' arrival; a retried call arrives at its first arrival's instant.
///
/// A doubly linked list in a slab: joining at either end and leaving from anywhere touch a few nodes only.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    nodes: Vec<Node>,
    free: Vec<usize>,
    head: Option<usize>,
    tail: Option<usize>,
    tokens: u64,
}

#[derive(Debug)]
struct Node {
    arrived: Nanos,
    tokens: u64,
    waker: Option<Waker>,
    prev: Option<usize>,
    next: Option<usize>,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Where a call that arrived at `arrived` would stand: behind all who arrived no later.
    ///
    /// Looks from both ends at once, since newcomers belong to the tail and retried calls near the head.
    pub(crate) fn ahead(&self, arrived: Nanos) -> Ahead {
        let total = self.len() as u64;
        let (mut front, mut front_requests, mut front_tokens) = (self.head, 0u64, 0u64);
        let (mut back, mut back_requests, mut back_tokens) = (self.tail, 0u64, 0u64);
        while let (Some(first), Some(last)) = (front, back) {
            let (from_front, from_back) = (&self.nodes[first], &self.nodes[last]);
            if from_back.arrived <= arrived {
                return Ahead {
                    requests: total - back_requests,
                    tokens: self.tokens.saturating_sub(back_tokens),
                    next: from_back.next,
                };
            }
            if from_front.arrived > arrived {
                break;
            }
            (front, front_requests) = (from_front.next, front_requests + 1);
            front_tokens = front_tokens.saturating_add(from_front.tokens);
            (back, back_requests) = (from_back.prev, back_requests + 1);
            back_tokens = back_tokens.saturating_add(from_back.tokens);
        }
        Ahead {
            requests: front_requests,
            tokens: front_tokens,
            next: front,
        }
    }

    /// Joins at the place that [`Queue::ahead`] found, the queue unchanged since.
    pub(crate) fn join(
        &mut self,
        ahead: Ahead,
        arrived: Nanos,
        tokens: u64,
        waker: Waker,
    ) -> Ticket {
        let prev = ahead.next.map_or(self.tail, |next| self.nodes[next].prev);
        let node = Node {
            arrived,
            tokens,
            waker: Some(waker),
            prev,
            next: ahead.next,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.nodes[index] = node;
                index
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        *self.link_after(prev) = Some(index);
        *self.link_before(ahead.next) = Some(index);
        self.tokens = self.tokens.saturating_add(tokens);
        Ticket(index)
    }

    pub(crate) fn is_head(&self, ticket: Ticket) -> bool {
        self.head == Some(ticket.0)
    }

    /// Keeps `waker` to be woken when the waiter should look again.
    pub(crate) fn keep(&mut self, ticket: Ticket, waker: &Waker) {
        match &mut self.nodes[ticket.0].waker {
            Some(kept) => kept.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Leaves; gives the waker of whoever has become the head by it, to be woken.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let was_head = self.is_head(ticket);
        let node = &mut self.nodes[ticket.0];
        let (prev, next, tokens) = (node.prev.take(), node.next.take(), node.tokens);
        node.waker = None;
        *self.link_after(prev) = next;
        *self.link_before(next) = prev;
        self.tokens = self.tokens.saturating_sub(tokens);
        self.free.push(ticket.0);
        if self.head.is_none() {
            self.nodes.clear();
            self.free.clear();
        }
        if was_head { self.wake_head() } else { None }
    }

    /// The head's waker, to be woken outside the lock.
    pub(crate) fn wake_head(&mut self) -> Option<Waker> {
        self.nodes[self.head?].waker.take()
    }

    fn link_after(&mut self, node: Option<usize>) -> &mut Option<usize> {
        match node {
            Some(index) => &mut self.nodes[index].next,
            None => &mut self.head,
        }
    }

    fn link_before(&mut self, node: Option<usize>) -> &mut Option<usize> {
        match node {
            Some(index) => &mut self.nodes[index].prev,
            None => &mut self.tail,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(queue: &mut Queue, arrived: Nanos, tokens: u64) -> Ticket {
        let ahead = queue.ahead(arrived);
        queue.join(ahead, arrived, tokens, Waker::noop().clone())
    }

    fn arrivals(queue: &Queue) -> Vec<Nanos> {
        let mut seen = Vec::new();
        let mut at = queue.head;
        while let Some(index) = at {
            seen.push(queue.nodes[index].arrived);
            at = queue.nodes[index].next;
        }
        seen
    }

    #[test]
    fn a_retried_call_takes_its_first_place() {
        let mut queue = Queue::default();
        join(&mut queue, 10, 1);
        join(&mut queue, 30, 2);
        join(&mut queue, 20, 4);
        let first = join(&mut queue, 5, 8);
        assert_eq!(arrivals(&queue), [5, 10, 20, 30]);
        assert!(queue.is_head(first));
    }

    #[test]
    fn equal_arrivals_stand_in_the_order_of_joining() {
        let mut queue = Queue::default();
        let first = join(&mut queue, 10, 1);
        let second = join(&mut queue, 10, 1);
        assert!(queue.is_head(first) && !queue.is_head(second));
        assert!(queue.leave(first).is_some());
        assert!(queue.is_head(second));
    }

    #[test]
    fn only_the_head_leaving_wakes_anybody() {
        let mut queue = Queue::default();
        let first = join(&mut queue, 1, 1);
        let second = join(&mut queue, 2, 1);
        let _third = join(&mut queue, 3, 1);
        assert!(queue.leave(second).is_none());
        assert!(queue.leave(first).is_some());
        assert!(
            queue.wake_head().is_none(),
            "woken once until it waits again"
        );
    }

    proptest! {
        #[test]
        fn stays_in_order_and_counts_what_is_ahead(
            steps in prop::collection::vec((0..50u64, 1..100u64, 0..4usize), 1..100)
        ) {
            let mut queue = Queue::default();
            let mut model: Vec<(u64, u64, Ticket)> = Vec::new();
            for (arrived, tokens, action) in steps {
                if action == 0 && !model.is_empty() {
                    let (_, _, ticket) = model.remove(usize::try_from(arrived).unwrap() % model.len());
                    queue.leave(ticket);
                } else {
                    let at = model.partition_point(|(other, _, _)| *other <= arrived);
                    let ahead = queue.ahead(arrived);
                    prop_assert_eq!(ahead.requests, at as u64);
                    prop_assert_eq!(ahead.tokens, model[..at].iter().map(|(_, n, _)| n).sum::<u64>());
                    let ticket = join(&mut queue, arrived, tokens);
                    model.insert(at, (arrived, tokens, ticket));
                }
                let expected: Vec<_> = model.iter().map(|(arrived, _, _)| *arrived).collect();
                prop_assert_eq!(arrivals(&queue), expected);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.tokens, model.iter().map(|(_, n, _)| n).sum::<u64>());
            }
        }
    }
}
