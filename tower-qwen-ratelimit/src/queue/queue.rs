use std::task::Waker;

use super::{
    Discipline, FlowKey, Served, Wakes,
    fair::{Fair, FlowPosition},
    fifo::{Fifo, Gap, Waiter, Waiters},
};
use crate::units::Nanos;

/// All calls that wait at an account. Joining, leaving and being served cost the same however many
/// there are.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    waiters: Waiters,
    order: Order,
    /// The waiter that knows that it is the head: it holds the one timer, or was woken to set it.
    head: Option<Ticket>,
    tokens: u128,
}

/// A waiter's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

#[derive(Debug)]
enum Order {
    Fifo(Fifo),
    Fair(Box<Fair>),
}

/// Where a newcomer would join. Valid as long as the queue does not change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    arrived: Nanos,
    gap: Gap,
    /// `None` where there are no flows.
    flow_position: Option<FlowPosition>,
    is_first: bool,
}

/// What goes before a newcomer if nothing else comes or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

impl WaitQueue {
    pub(crate) fn new(discipline: Discipline) -> Self {
        Self {
            waiters: Waiters::default(),
            order: match discipline {
                Discipline::Fifo => Order::Fifo(Fifo::default()),
                Discipline::Fair => Order::Fair(Box::default()),
            },
            head: None,
            tokens: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// All that waits.
    pub(crate) fn total(&self) -> Ahead {
        Ahead::of(self.len() as u64, self.tokens)
    }

    /// Where a call that arrived at `arrived` would join: behind all calls of its flow that arrived
    /// no later.
    #[inline(always)]
    pub(crate) fn position(&self, arrived: Nanos, key: &FlowKey) -> Position {
        let (flow_position, fifo, is_next) = match &self.order {
            Order::Fifo(fifo) => (None, Some(fifo), true),
            Order::Fair(fair) => {
                let flow_position = fair.position(key);
                (
                    Some(flow_position),
                    fair.fifo(flow_position),
                    fair.is_first(flow_position),
                )
            }
        };
        let gap = fifo.map_or(Gap::default(), |fifo| fifo.gap(&self.waiters, arrived));
        Position {
            arrived,
            gap,
            flow_position,
            is_first: is_next && gap.requests == 0,
        }
    }

    /// What goes before a call at that position: never more than all that waits.
    pub(crate) fn ahead(&self, position: Position, key: &FlowKey) -> Ahead {
        let own = position.gap;
        let others = match (&self.order, position.flow_position) {
            (Order::Fair(fair), Some(flow_position)) => fair.others_ahead(flow_position, key, &own),
            _ => (0, 0),
        };
        let all = self.total();
        // The prediction of other flows may count a call twice or too many: never more than all.
        let before = Ahead::of(
            own.requests.saturating_add(others.0),
            own.tokens.saturating_add(others.1),
        );
        Ahead {
            requests: before.requests.min(all.requests),
            tokens: before.tokens.min(all.tokens),
        }
    }

    /// Joins at that position. A newcomer that becomes the head is not woken: it is about to decide
    /// what to do anyway.
    pub(crate) fn join(
        &mut self,
        position: Position,
        key: &FlowKey,
        tokens: u64,
        waker: Waker,
    ) -> (Ticket, Wakes) {
        let flow = match (&mut self.order, position.flow_position) {
            (Order::Fair(fair), Some(flow_position)) => fair.open(flow_position, key),
            _ => 0,
        };
        let index = self.waiters.insert(Waiter {
            arrived: position.arrived,
            tokens,
            flow,
            waker: Some(waker),
            ..Waiter::default()
        });
        self.tokens += u128::from(tokens);
        match &mut self.order {
            Order::Fifo(fifo) => fifo.insert(&mut self.waiters, position.gap, index),
            Order::Fair(fair) => {
                fair.fifo_mut(flow)
                    .insert(&mut self.waiters, position.gap, index);
                fair.joined(flow);
            }
        }
        let ticket = Ticket(index);
        (ticket, self.head_changed(Some(ticket)))
    }

    /// Counts a call that goes from that position without having joined.
    #[inline(always)]
    pub(crate) fn admit_at_once(
        &mut self,
        position: Position,
        key: &FlowKey,
        cost: u64,
    ) -> (Served, Wakes) {
        // By arrival nothing is counted, and a call that does not join changes no head.
        let Some(flow_position) = position.flow_position else {
            return (Served::default(), Wakes::default());
        };
        let (served, wakes) = self.admit_in_flow(flow_position, key, cost);
        (served, wakes)
    }

    // Apart, so that what is returned by arrival stays in registers.
    #[inline(never)]
    fn admit_in_flow(
        &mut self,
        flow_position: FlowPosition,
        key: &FlowKey,
        cost: u64,
    ) -> (Served, Wakes) {
        let Order::Fair(fair) = &mut self.order else {
            return (Served::default(), Wakes::default());
        };
        let flow = fair.open(flow_position, key);
        let served = fair.serve(flow, cost);
        (served, self.head_changed(None))
    }

    pub(crate) fn is_head(&self, ticket: Ticket) -> bool {
        self.head == Some(ticket)
    }

    /// Stores the waker of a waiter that is polled again later. Returns the one stored before, to
    /// be dropped after the lock.
    pub(crate) fn set_waker(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let stored = &mut self.waiters.at_mut(ticket.0).waker;
        match stored {
            Some(same) if same.will_wake(waker) => None,
            _ => stored.replace(waker.clone()),
        }
    }

    /// Leaves the queue without having been admitted.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Wakes {
        let (left, flow) = self.remove(ticket);
        if let Order::Fair(fair) = &mut self.order {
            fair.left(flow);
        }
        Wakes {
            left,
            ..self.head_changed(None)
        }
    }

    /// Leaves the queue admitted, at this cost.
    pub(crate) fn admit(&mut self, ticket: Ticket, cost: u64) -> (Served, Wakes) {
        let (left, flow) = self.remove(ticket);
        let served = match &mut self.order {
            Order::Fifo(_) => Served::default(),
            Order::Fair(fair) => fair.serve(flow, cost),
        };
        let wakes = Wakes {
            left,
            ..self.head_changed(None)
        };
        (served, wakes)
    }

    /// Corrects what a call was charged in its flow. Called once per call.
    pub(crate) fn settle(&mut self, served: Served, actual: u64) -> Wakes {
        if let Order::Fair(fair) = &mut self.order {
            fair.settle(served, actual);
        }
        self.head_changed(None)
    }

    /// Wakes the head: what decides when it may go has changed.
    pub(crate) fn wake_head(&mut self) -> Wakes {
        // Its waker is taken: however much changes until it is polled, it is woken once.
        Wakes {
            head: self.head.and_then(|head| self.take_waker(head)),
            ..Wakes::default()
        }
    }

    /// Wakes the new head and the displaced one. `joined` becomes the head knowingly.
    #[inline]
    fn head_changed(&mut self, joined: Option<Ticket>) -> Wakes {
        let next = match &self.order {
            Order::Fifo(fifo) => fifo.first(),
            Order::Fair(fair) => fair.next().and_then(Fifo::first),
        };
        let head = next.map(Ticket);
        // By far the most frequent case: joining and leaving behind the head wake no task.
        if head == self.head {
            return Wakes::default();
        }
        self.change_head(head, joined)
    }

    // Apart, so that `Wakes::default` stays in registers.
    #[inline(never)]
    fn change_head(&mut self, head: Option<Ticket>, joined: Option<Ticket>) -> Wakes {
        let displaced = std::mem::replace(&mut self.head, head);
        Wakes {
            displaced: displaced.and_then(|ticket| self.take_waker(ticket)),
            head: head
                .filter(|_| head != joined)
                .and_then(|ticket| self.take_waker(ticket)),
            left: None,
        }
    }

    fn take_waker(&mut self, ticket: Ticket) -> Option<Waker> {
        self.waiters.at_mut(ticket.0).waker.take()
    }

    fn remove(&mut self, ticket: Ticket) -> (Option<Waker>, usize) {
        let Waiter { tokens, flow, .. } = *self.waiters.at(ticket.0);
        let fifo = match &mut self.order {
            Order::Fifo(fifo) => fifo,
            Order::Fair(fair) => fair.fifo_mut(flow),
        };
        fifo.remove(&mut self.waiters, ticket.0);
        self.tokens -= u128::from(tokens);
        // Its ticket may be another waiter's next: it must not be taken for the head then.
        if self.head == Some(ticket) {
            self.head = None;
        }
        let waker = self.take_waker(ticket);
        self.waiters.free(ticket.0);
        (waker, flow)
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new(Discipline::default())
    }
}

impl Position {
    /// Whether no waiter would go before it.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }
}

impl Ahead {
    fn of(requests: u64, tokens: u128) -> Self {
        Self {
            requests,
            tokens: u64::try_from(tokens).unwrap_or(u64::MAX),
        }
    }
}
