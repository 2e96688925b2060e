use std::task::Waker;

use super::{
    Discipline, FlowKey, Served, Ticket, Wakes,
    fair::{Fair, Seat},
    fifo::{Gap, Line},
    waiters::{Waiter, Waiters},
};
use crate::gate::Nanos;

/// All who wait at an account. Joining, leaving and being served cost the same however many there are.
#[derive(Debug)]
pub(crate) struct Queue {
    waiters: Waiters,
    order: Order,
    /// Who knows that it is the head, and so holds the one timer, or was woken to learn it.
    head: Option<Ticket>,
    tokens: u128,
}

#[derive(Debug)]
enum Order {
    Fifo(Line),
    Fair(Box<Fair>),
}

/// Where a newcomer would stand, the queue unchanged since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    arrived: Nanos,
    gap: Gap,
    /// `None` where there are no flows.
    seat: Option<Seat>,
    is_first: bool,
}

/// What goes before a newcomer, as things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

impl Queue {
    pub(crate) fn new(discipline: Discipline) -> Self {
        Self {
            waiters: Waiters::default(),
            order: match discipline {
                Discipline::Fifo => Order::Fifo(Line::default()),
                Discipline::Fair => Order::Fair(Box::default()),
            },
            head: None,
            tokens: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Everything that waits.
    pub(crate) fn everybody(&self) -> Ahead {
        Ahead::of(self.len() as u64, self.tokens)
    }

    /// Where a call would stand that arrived at `arrived`: in its line behind all who arrived no later.
    pub(crate) fn place(&self, arrived: Nanos, key: &FlowKey) -> Place {
        let (seat, line, is_next) = match &self.order {
            Order::Fifo(line) => (None, Some(line), true),
            Order::Fair(fair) => {
                let seat = fair.seat(key);
                (Some(seat), fair.line(seat), fair.is_first(seat))
            }
        };
        let gap = line.map_or(Gap::default(), |line| line.gap(&self.waiters, arrived));
        Place {
            arrived,
            gap,
            seat,
            is_first: is_next && gap.requests == 0,
        }
    }

    /// What goes before the call that would stand there: never more than everything that waits.
    pub(crate) fn ahead(&self, place: Place, key: &FlowKey) -> Ahead {
        let own = place.gap;
        let others = match (&self.order, place.seat) {
            (Order::Fair(fair), Some(seat)) => fair.others_ahead(seat, key, &own),
            _ => (0, 0),
        };
        let all = self.everybody();
        let before = Ahead::of(
            own.requests.saturating_add(others.0),
            own.tokens.saturating_add(others.1),
        );
        Ahead {
            requests: before.requests.min(all.requests),
            tokens: before.tokens.min(all.tokens),
        }
    }

    /// Joins at that place; a newcomer that becomes the head is not woken for it.
    pub(crate) fn join(
        &mut self,
        place: Place,
        key: &FlowKey,
        tokens: u64,
        waker: Waker,
    ) -> (Ticket, Wakes) {
        let flow = match (&mut self.order, place.seat) {
            (Order::Fair(fair), Some(seat)) => fair.open(seat, key),
            _ => 0,
        };
        let index = self.waiters.insert(Waiter {
            arrived: place.arrived,
            tokens,
            flow,
            waker: Some(waker),
            prev: None,
            next: None,
        });
        self.tokens += u128::from(tokens);
        match &mut self.order {
            Order::Fifo(line) => line.insert(&mut self.waiters, place.gap, index),
            Order::Fair(fair) => {
                fair.line_mut(flow)
                    .insert(&mut self.waiters, place.gap, index);
                fair.joined(flow);
            }
        }
        let ticket = Ticket(index);
        (ticket, self.head_changed(Some(ticket)))
    }

    /// Counts a call that goes from that place at once, without having joined.
    pub(crate) fn pass(&mut self, place: Place, key: &FlowKey, cost: u64) -> (Served, Wakes) {
        let served = match (&mut self.order, place.seat) {
            (Order::Fair(fair), Some(seat)) => {
                let flow = fair.open(seat, key);
                fair.serve(flow, cost)
            }
            _ => Served::default(),
        };
        (served, self.head_changed(None))
    }

    pub(crate) fn is_head(&self, ticket: Ticket) -> bool {
        self.head == Some(ticket)
    }

    /// Keeps `waker` to be woken when the waiter should look again; gives back the one kept before.
    pub(crate) fn keep(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let kept = &mut self.waiters.at_mut(ticket.0).waker;
        match kept {
            Some(same) if same.will_wake(waker) => None,
            _ => kept.replace(waker.clone()),
        }
    }

    /// Leaves without having been served.
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

    /// Leaves, being served at this cost.
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

    /// Puts right what a call was served at. Called once per call.
    pub(crate) fn settle(&mut self, served: Served, actual: u64) -> Wakes {
        if let Order::Fair(fair) = &mut self.order {
            fair.settle(served, actual);
        }
        self.head_changed(None)
    }

    /// Lets the head look again.
    pub(crate) fn wake_head(&mut self) -> Wakes {
        Wakes {
            head: self.head.and_then(|head| self.take_waker(head)),
            ..Wakes::default()
        }
    }

    /// Whoever is the head by now learns it, and so does whoever was it.
    fn head_changed(&mut self, by: Option<Ticket>) -> Wakes {
        let next = match &self.order {
            Order::Fifo(line) => line.first(),
            Order::Fair(fair) => fair.next().and_then(Line::first),
        };
        let head = next.map(Ticket);
        if head == self.head {
            return Wakes::default();
        }
        let displaced = std::mem::replace(&mut self.head, head);
        Wakes {
            displaced: displaced.and_then(|ticket| self.take_waker(ticket)),
            head: head
                .filter(|_| head != by)
                .and_then(|ticket| self.take_waker(ticket)),
            left: None,
        }
    }

    fn take_waker(&mut self, ticket: Ticket) -> Option<Waker> {
        self.waiters.at_mut(ticket.0).waker.take()
    }

    fn remove(&mut self, ticket: Ticket) -> (Option<Waker>, usize) {
        let Waiter { tokens, flow, .. } = *self.waiters.at(ticket.0);
        let line = match &mut self.order {
            Order::Fifo(line) => line,
            Order::Fair(fair) => fair.line_mut(flow),
        };
        line.remove(&mut self.waiters, ticket.0);
        self.tokens -= u128::from(tokens);
        if self.head == Some(ticket) {
            self.head = None;
        }
        (self.waiters.remove(ticket.0), flow)
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new(Discipline::default())
    }
}

impl Place {
    /// Whether nobody would go before it.
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
