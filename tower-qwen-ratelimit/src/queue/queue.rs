use std::{task::Waker, time::Duration};

use super::{
    Ahead, Discipline, FlowKey, Priority, Served, Wakes,
    fair::FlowPosition,
    fifo::{Gap, Waiter, Waiters},
    order::Order,
};
use crate::units::{Nanos, nanos};

/// The default of [`LimiterBuilder::ageing`](crate::LimiterBuilder::ageing).
// Half of the usual window: a burst of urgent calls that takes half a window goes before all others, and a call that
// waits has half of the usual minute of a client's timeout left when it ages.
pub(crate) const DEFAULT_AGEING: Duration = Duration::from_secs(30);
/// Of so many admissions, one goes by age.
// Few enough for the lower classes to be served at a quarter of the rate however long they have waited, and enough for
// the higher ones to keep most of it. Were each aged call to move up, a backlog that is longer than the ageing would end
// all priorities.
const ADMISSIONS_PER_AGED: u8 = 4;

/// All calls that wait at an account. Joining, leaving and being served cost the same however many
/// there are.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    waiters: Waiters,
    order: Order,
    /// The waiter that knows that it is the head: it holds the one timer, or was woken to set it.
    head: Option<Ticket>,
    tokens: u128,
    /// Of now, while anybody waits.
    now: Nanos,
    /// A waiter has aged after so long. Unit: nanoseconds.
    ageing: Nanos,
    /// Admissions since the last one by age, modulo [`ADMISSIONS_PER_AGED`].
    admissions: u8,
}

/// A waiter's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

/// Where a newcomer would join. Valid as long as the queue does not change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    arrived: Nanos,
    gap: Gap,
    priority: Priority,
    /// `None` where there are no flows.
    flow_position: Option<FlowPosition>,
    is_first: bool,
}

impl WaitQueue {
    pub(crate) fn new(discipline: Discipline, ageing: Duration) -> Self {
        Self {
            waiters: Waiters::default(),
            order: Order::new(discipline),
            head: None,
            tokens: 0,
            now: 0,
            ageing: nanos(ageing),
            admissions: 0,
        }
    }

    /// Time has passed. To be called before anything else as long as anybody waits.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos) {
        self.now = now;
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// All that waits.
    pub(crate) fn total(&self) -> Ahead {
        Ahead::of(self.len() as u64, self.tokens)
    }

    /// The calls of a class that wait.
    pub(crate) fn of_class(&self, priority: Priority) -> Ahead {
        self.order.total(priority)
    }

    /// Where a call that arrived at `arrived` would join: behind all calls of its class and flow that
    /// arrived no later.
    #[inline(always)]
    pub(crate) fn position(&self, arrived: Nanos, priority: Priority, key: &FlowKey) -> Position {
        let flow_position = self.order.flow_position(priority, key);
        // By far the most frequent case.
        let (gap, is_first) = match self.len() {
            0 => (Gap::default(), true),
            _ => self.place(arrived, priority, flow_position),
        };
        Position {
            arrived,
            gap,
            priority,
            flow_position,
            is_first,
        }
    }

    // Apart, so that the path of a call that nobody is ahead of stays short.
    #[inline(never)]
    fn place(
        &self,
        arrived: Nanos,
        priority: Priority,
        flow_position: Option<FlowPosition>,
    ) -> (Gap, bool) {
        let (gap, is_next) = self
            .order
            .gap(&self.waiters, arrived, priority, flow_position);
        let is_first = is_next
            && gap.requests == 0
            && self.next_class(Some((priority, arrived))) == Some(priority);
        (gap, is_first)
    }

    /// What goes before a call at that position, nobody coming or leaving: never more than all that
    /// waits.
    ///
    /// Of classes below, what goes by age is counted as if their calls were of one size. Of those above all is
    /// counted: a lower class may go sooner by its age.
    pub(crate) fn ahead(&self, position: Position, key: &FlowKey) -> Ahead {
        let own = position.gap;
        let others = self
            .order
            .others_ahead(position.priority, position.flow_position, key, &own);
        // The prediction of other flows may count a call twice or too many: never more than all.
        let own = Ahead::of(
            own.requests.saturating_add(others.0),
            own.tokens.saturating_add(others.1),
        );
        let of_class = self.order.total(position.priority);
        let before = own.at_most(of_class);
        // All wait in its class, as without priorities.
        if of_class.requests == self.len() as u64 {
            return before;
        }
        self.ahead_of_class(position.priority, before)
    }

    /// The same with the other classes, where `own` is what goes before it of its own.
    fn ahead_of_class(&self, priority: Priority, own: Ahead) -> Ahead {
        let others = || Priority::IN_ORDER.into_iter();
        let higher = others().filter(|other| *other > priority);
        let before = higher.fold(own, |sum, other| sum.plus(self.order.total(other)));
        let aged = others()
            .filter(|other| *other < priority && self.has_aged(self.oldest(*other)))
            .fold(Ahead::default(), |sum, other| {
                sum.plus(self.order.total(other))
            });
        let by_class = u64::from(ADMISSIONS_PER_AGED) - 1;
        let by_age = before.requests.saturating_add(u64::from(self.admissions)) / by_class;
        before.plus(aged.first(by_age)).at_most(self.total())
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
        let flow = self
            .order
            .open(position.priority, position.flow_position, key);
        let index = self.waiters.insert(Waiter {
            arrived: position.arrived,
            tokens,
            priority: position.priority,
            flow,
            waker: Some(waker),
            ..Waiter::default()
        });
        self.tokens += u128::from(tokens);
        self.order.insert(&mut self.waiters, position.gap, index);
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
        // By arrival nothing is counted, and where nobody waits no head changes.
        if position.flow_position.is_none() && self.len() == 0 {
            return (Served::default(), Wakes::default());
        }
        self.admit_among_others(position, key, cost)
    }

    // Apart, so that what is returned by arrival stays in registers.
    #[inline(never)]
    fn admit_among_others(
        &mut self,
        position: Position,
        key: &FlowKey,
        cost: u64,
    ) -> (Served, Wakes) {
        let Position {
            priority,
            flow_position,
            ..
        } = position;
        let flow = self.order.open(priority, flow_position, key);
        let served = self.order.serve(priority, flow, cost);
        if self.len() > 0 {
            self.count_admission();
        }
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
        let (left, priority, flow) = self.remove(ticket);
        self.order.left(priority, flow);
        Wakes {
            left,
            ..self.head_changed(None)
        }
    }

    /// Leaves the queue admitted, at this cost.
    pub(crate) fn admit(&mut self, ticket: Ticket, cost: u64) -> (Served, Wakes) {
        let (left, priority, flow) = self.remove(ticket);
        let served = self.order.serve(priority, flow, cost);
        self.count_admission();
        let wakes = Wakes {
            left,
            ..self.head_changed(None)
        };
        (served, wakes)
    }

    /// Corrects what a call was charged in its flow. Called once per call.
    pub(crate) fn settle(&mut self, served: Served, actual: u64) -> Wakes {
        self.order.settle(served, actual);
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
        // Neither is anybody next nor has anybody been.
        if self.len() == 0 && self.head.is_none() {
            return Wakes::default();
        }
        let next = self
            .next_class(None)
            .and_then(|class| self.order.next(class));
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

    /// The class that goes next, with a newcomer of a class and an arrival if there is one.
    fn next_class(&self, newcomer: Option<(Priority, Nanos)>) -> Option<Priority> {
        let arrived = |class: Priority| {
            let newcomer = newcomer.filter(|newcomer| newcomer.0 == class);
            match (self.oldest(class), newcomer) {
                (Some(oldest), Some((_, arrived))) => Some(oldest.min(arrived)),
                (oldest, newcomer) => oldest.or(newcomer.map(|newcomer| newcomer.1)),
            }
        };
        let mut classes = Priority::IN_ORDER.into_iter();
        let highest = classes.find(|&class| arrived(class).is_some())?;
        if self.admissions + 1 < ADMISSIONS_PER_AGED {
            return Some(highest);
        }
        // Of equal arrivals the higher class.
        let oldest = Priority::IN_ORDER
            .into_iter()
            .filter_map(|class| Some((arrived(class)?, class)))
            .min_by_key(|&(arrived, _)| arrived)
            .filter(|&(arrived, _)| self.has_aged(Some(arrived)));
        Some(oldest.map_or(highest, |(_, class)| class))
    }

    /// The arrival of the call of a class that has waited for longest.
    fn oldest(&self, class: Priority) -> Option<Nanos> {
        let oldest = self.order.oldest(class)?;
        Some(self.waiters.at(oldest).arrived)
    }

    fn has_aged(&self, arrived: Option<Nanos>) -> bool {
        arrived.is_some_and(|arrived| self.now.saturating_sub(arrived) > self.ageing)
    }

    fn count_admission(&mut self) {
        self.admissions = (self.admissions + 1) % ADMISSIONS_PER_AGED;
    }

    fn remove(&mut self, ticket: Ticket) -> (Option<Waker>, Priority, usize) {
        let Waiter {
            tokens,
            priority,
            flow,
            ..
        } = *self.waiters.at(ticket.0);
        self.order.remove(&mut self.waiters, ticket.0);
        self.tokens -= u128::from(tokens);
        // Its ticket may be another waiter's next: it must not be taken for the head then.
        if self.head == Some(ticket) {
            self.head = None;
        }
        let waker = self.take_waker(ticket);
        self.waiters.free(ticket.0);
        (waker, priority, flow)
    }
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new(Discipline::default(), DEFAULT_AGEING)
    }
}

impl Position {
    /// Whether no waiter would go before it.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first
    }
}
