use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use crate::{
    adapt::Ramp,
    cost::Cost,
    error::{RejectKind, Rejected},
    fleet::Handle,
    gate::{NEVER, Nanos},
    key::Key,
    observe::{LimiterEvent, Observers, emit},
    queue::{Ahead, Discipline, FlowKey, Queue, Ticket},
    quota::Quota,
    snapshot::AccountSnapshot,
};

use super::{Charge, Outcome, grants::Turns, head::Look, shared::Member, state::State};

/// One account: its gates, its queue, and what it has learned.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) key: Key,
    pub(super) epoch: Instant,
    pub(super) manner: Manner,
    /// `None` where the account is this process's alone.
    pub(super) member: Option<Member>,
    pub(super) state: Mutex<State>,
}

/// How an account goes about it: what the accounts of a limiter share.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    pub(crate) max_queued: usize,
    pub(crate) discipline: Discipline,
    pub(crate) observers: Observers,
    /// The store that a fleet shares.
    pub(crate) fleet: Option<Handle>,
}

/// A call that asks for admission.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) cost: Cost,
    /// What kind of answer is expected, where the user says.
    pub(crate) label: Option<Arc<str>>,
    /// When it was first heard of; `None` where that is now.
    pub(crate) arrived: Option<Instant>,
    pub(crate) flow: FlowKey,
    pub(crate) latest: Option<Latest>,
}

/// The latest instant at which a call may be admitted, and whose limit that is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latest {
    pub(crate) at: Instant,
    pub(crate) kind: RejectKind,
}

/// What becomes of a call that asks.
#[derive(Debug)]
pub(crate) enum Entered {
    Admitted(Charge),
    Queued(Ticket, Turn),
}

/// What a waiter learns when it looks.
#[derive(Debug)]
pub(crate) enum Turn {
    Admitted(Charge),
    /// It is to look again at this instant, if it is not woken before: when the head may go, as things stand.
    Until(Instant),
    /// It is to look again when it is woken: others are ahead.
    Behind,
    /// It has left the queue without having been admitted.
    Refused(Rejected),
}

impl Ask {
    /// It begins to wait, for so long at most.
    pub(crate) fn begin(&mut self, now: Instant, max_wait: Option<Duration>) {
        self.arrived.get_or_insert(now);
        let Some(at) = max_wait.and_then(|longest| now.checked_add(longest)) else {
            return;
        };
        if self.latest.is_none_or(|latest| at < latest.at) {
            let kind = RejectKind::MaxWait;
            self.latest = Some(Latest { at, kind });
        }
    }
}

impl Account {
    pub(crate) fn new(
        key: Key,
        quota: Quota,
        manner: Manner,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let queue = Queue::new(manner.discipline);
        Self {
            key,
            epoch,
            manner,
            member: None,
            state: Mutex::new(State::new(quota, queue, nanos_between(epoch, now))),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Admits the call, queues it, or refuses it.
    pub(crate) fn enter(
        &self,
        ask: &Ask,
        now: Instant,
        waker: &Waker,
    ) -> Result<Entered, Rejected> {
        let entered = self.decide(ask, now, waker);
        match &entered {
            Ok(Entered::Admitted(charge)) => self.tell_admitted(ask, *charge, now),
            Ok(Entered::Queued(..)) => {}
            Err(rejected) => self.tell_refused(*rejected),
        }
        entered
    }

    fn decide(&self, ask: &Ask, now: Instant, waker: &Waker) -> Result<Entered, Rejected> {
        let mut state = self.advanced(now);
        let estimate = state.estimate(ask.cost, ask.label.as_ref());
        if !state.fits_a_window(estimate) {
            return Err(Rejected::new(RejectKind::TooLarge, None));
        }
        let place = state
            .queue
            .place(self.nanos(ask.arrived.unwrap_or(now)), &ask.flow);
        if place.is_first() && state.turn_at(estimate).is_some_and(|at| at <= state.now) {
            let mut charge = state.charge(estimate);
            self.number(&mut charge);
            let cost = state.price(estimate.total());
            let (served, wakes) = state.queue.pass(place, &ask.flow, cost);
            charge.served = served;
            drop(state);
            wakes.wake();
            return Ok(Entered::Admitted(charge));
        }
        let predicted = || {
            let Ahead { requests, tokens } = state.queue.ahead(place, &ask.flow);
            match state.turns {
                Turns::Booked(_) => state.predicted_in_fleet(requests, tokens),
                _ => state.predicted(requests, tokens, estimate),
            }
        };
        let refused = |kind, at: Nanos| {
            let wait = Duration::from_nanos(at.saturating_sub(self.nanos(now)));
            Err(Rejected::new(kind, Some(wait)))
        };
        if state.queue.len() >= self.manner.max_queued {
            return refused(RejectKind::QueueFull, predicted());
        }
        if let Some(latest) = ask.latest {
            let at = predicted();
            if at > self.nanos(latest.at) {
                return refused(latest.kind, at);
            }
        }
        let tokens = estimate.total();
        let (ticket, wakes) = state.queue.join(place, &ask.flow, tokens, waker.clone());
        let (look, ops) = self.look(&mut state, ticket, ask, estimate);
        drop(state);
        wakes.wake();
        self.push(ops);
        match look.turn(|at| self.instant(at)) {
            Turn::Refused(rejected) => {
                self.leave(ticket);
                Err(rejected)
            }
            turn => Ok(Entered::Queued(ticket, turn)),
        }
    }

    /// Looks again, as a waiter. A waiter that is admitted has left the queue.
    pub(crate) fn turn(&self, ticket: Ticket, ask: &Ask, now: Instant, waker: &Waker) -> Turn {
        let mut state = self.advanced(now);
        let estimate = state.estimate(ask.cost, ask.label.as_ref());
        let (look, ops) = self.look(&mut state, ticket, ask, estimate);
        match look {
            Look::At(at) if at <= state.now => {}
            Look::Refused(rejected) => {
                drop(state);
                self.push(ops);
                self.leave(ticket);
                self.tell_refused(rejected);
                return Turn::Refused(rejected);
            }
            look => {
                let replaced = state.queue.keep(ticket, waker);
                drop(state);
                drop(replaced);
                self.push(ops);
                return look.turn(|at| self.instant(at));
            }
        }
        let due = state.take_booking(estimate);
        let mut charge = state.charge(due);
        self.number(&mut charge);
        let cost = state.price(due.total());
        let (served, wakes) = state.queue.admit(ticket, cost);
        charge.served = served;
        let is_late = state.is_late_for(due, charge);
        drop(state);
        wakes.wake();
        self.push(ops);
        if is_late {
            self.tell_sent(charge);
        }
        self.tell_admitted(ask, charge, now);
        Turn::Admitted(charge)
    }

    /// Leaves the queue without having been admitted.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.advanced(clock::now());
        let wakes = state.queue.leave(ticket);
        state.forget_ticket(ticket);
        let unused = match state.queue.len() {
            0 => state.unbook(),
            _ => None,
        };
        drop(state);
        wakes.wake();
        if let Some(id) = unused {
            self.give_back(id);
        }
    }

    /// Dates a charge anew: the call goes out now and not, as was thought, earlier.
    pub(crate) fn send(&self, charge: &mut Charge, now: Instant) {
        let at = self.nanos(now);
        if at < charge.dated_until {
            charge.at = charge.at.max(at);
        } else {
            self.advanced(now).redate(charge);
            self.tell_sent(*charge);
        }
    }

    /// Books what became of a charge. Called once per charge.
    pub(crate) fn settle(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let (used, wakes) = self.change(now, |state| state.book(charge, outcome));
        wakes.wake();
        self.tell_outcome(charge, outcome);
        self.tell_settled(charge, outcome, used);
    }

    pub(crate) fn snapshot(&self, now: Instant) -> AccountSnapshot {
        let state = self.advanced(now);
        AccountSnapshot {
            key: self.key.clone(),
            requests: state.requests.snapshot(),
            tokens: state.tokens.snapshot(),
            running: state.running.running(),
            may_run: state.running.allowed(),
            tokens_of_day: state.tokens_of_day.used(),
            slow_start_percent: state.ramp.as_ref().map(Ramp::percent),
            queued: state.queue.len(),
            in_flight: state.in_flight,
            admitted: state.admitted,
            reserved_tokens: state.reserved_tokens,
            settled_tokens: state.settled_tokens,
            expected_output: state.expect.output(None, None),
            throttled: state.throttled.clone(),
            unexplained_throttles: state.unexplained,
            closed_for: Duration::from_nanos(state.pause.until().saturating_sub(state.now)),
            fleet: self.fleet_snapshot(&state),
        }
    }

    pub(super) fn tell_admitted(&self, ask: &Ask, charge: Charge, now: Instant) {
        let arrived = ask.arrived.unwrap_or(now);
        self.tell_admitted_after(now.saturating_duration_since(arrived), charge);
    }

    pub(super) fn tell_admitted_after(&self, waited: Duration, charge: Charge) {
        emit(
            &self.manner.observers,
            &LimiterEvent::Admitted {
                key: &self.key,
                waited,
                reserved: charge.total(),
            },
        );
    }

    pub(super) fn tell_settled(&self, charge: Charge, outcome: Outcome, used: u64) {
        emit(
            &self.manner.observers,
            &LimiterEvent::Settled {
                key: &self.key,
                reserved: charge.total(),
                used,
                known: matches!(outcome, Outcome::Known { .. }),
            },
        );
    }

    pub(super) fn tell_refused(&self, rejected: Rejected) {
        let key = &self.key;
        emit(
            &self.manner.observers,
            &LimiterEvent::Rejected { key, rejected },
        );
    }

    /// Changes what decides when the head may go; the head looks again.
    pub(super) fn change<R>(&self, now: Instant, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.advanced(now);
        let result = change(&mut state);
        let wakes = state.queue.wake_head();
        drop(state);
        wakes.wake();
        result
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn advanced(&self, now: Instant) -> MutexGuard<'_, State> {
        let now = self.nanos(now);
        let mut state = self.lock();
        state.advance(now);
        state
    }

    pub(super) fn nanos(&self, at: Instant) -> Nanos {
        nanos_between(self.epoch, at)
    }

    pub(super) fn instant(&self, at: Nanos) -> Instant {
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        self.epoch
            .checked_add(Duration::from_nanos(at))
            .filter(|_| at != NEVER)
            .unwrap_or_else(|| self.epoch + FAR)
    }
}

#[inline]
fn nanos_between(epoch: Instant, at: Instant) -> Nanos {
    u64::try_from(at.saturating_duration_since(epoch).as_nanos()).unwrap_or(Nanos::MAX - 1)
}
