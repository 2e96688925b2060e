//! The gates of one key, all or nothing, and the queue before them.

mod hear;
mod idle;
mod refuse;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tower_qwen_tokens::clock::Instant;

use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
    gate::{NEVER, Nanos},
    key::Key,
    queue::Ticket,
    quota::Quota,
    ramp::Ramp,
    snapshot::AccountSnapshot,
};

use state::State;

pub(crate) use idle::Idle;
pub(crate) use refuse::Left;
pub(crate) use state::{Charge, Outcome};

/// One account: its gates, its queue, and what it has learned.
#[derive(Debug)]
pub(crate) struct Account {
    key: Key,
    epoch: Instant,
    max_queued: usize,
    state: Mutex<State>,
}

/// A call that asks for admission.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) cost: Cost,
    /// What kind of answer is expected, where the user says.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) arrived: Instant,
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
    /// It is the head and may go at this instant, as things stand.
    HeadUntil(Instant),
    /// Others are ahead.
    Behind,
}

impl Account {
    pub(crate) fn new(
        key: Key,
        quota: Quota,
        max_queued: usize,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let nanos = nanos_between(epoch, now);
        Self {
            key,
            epoch,
            max_queued,
            state: Mutex::new(State::new(quota, nanos)),
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
        let mut state = self.advanced(now);
        let estimate = state.estimate(ask.cost, ask.label.as_ref());
        if !state.fits_a_window(estimate) {
            return Err(Rejected::new(RejectKind::TooLarge, None));
        }
        let arrived = self.nanos(ask.arrived);
        let ahead = state.queue.ahead(arrived);
        if ahead.requests == 0 {
            let at = state.ready_at(estimate);
            if at <= state.now {
                return Ok(Entered::Admitted(state.charge(estimate)));
            }
        }
        let wait = |at: Nanos| Duration::from_nanos(at.saturating_sub(self.nanos(now)));
        if state.queue.len() >= self.max_queued {
            let at = state.predicted(ahead.requests, ahead.tokens, estimate);
            return Err(Rejected::new(RejectKind::QueueFull, Some(wait(at))));
        }
        if let Some(latest) = ask.latest {
            let at = state.predicted(ahead.requests, ahead.tokens, estimate);
            if at > self.nanos(latest.at) {
                return Err(Rejected::new(latest.kind, Some(wait(at))));
            }
        }
        let ticket = state
            .queue
            .join(ahead, arrived, estimate.total(), waker.clone());
        let turn = if state.queue.is_head(ticket) {
            Turn::HeadUntil(self.instant(state.ready_at(estimate)))
        } else {
            Turn::Behind
        };
        Ok(Entered::Queued(ticket, turn))
    }

    /// Looks again, as a waiter. A waiter that is admitted has left the queue.
    pub(crate) fn turn(&self, ticket: Ticket, ask: &Ask, now: Instant, waker: &Waker) -> Turn {
        let mut state = self.advanced(now);
        if !state.queue.is_head(ticket) {
            state.queue.keep(ticket, waker);
            return Turn::Behind;
        }
        let estimate = state.estimate(ask.cost, ask.label.as_ref());
        let at = state.ready_at(estimate);
        if at > state.now {
            state.queue.keep(ticket, waker);
            return Turn::HeadUntil(self.instant(at));
        }
        let charge = state.charge(estimate);
        let next = state.queue.leave(ticket);
        drop(state);
        wake(next);
        Turn::Admitted(charge)
    }

    /// Leaves the queue without having been admitted.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let next = self.lock().queue.leave(ticket);
        wake(next);
    }

    /// Dates a charge anew: the call goes out now and not, as was thought, earlier.
    pub(crate) fn send(&self, charge: &mut Charge, now: Instant) {
        let mut state = self.advanced(now);
        state.redate(charge);
    }

    /// Books what became of a charge. Called once per charge.
    pub(crate) fn settle(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let mut state = self.advanced(now);
        state.settle(charge, outcome);
        let head = state.queue.wake_head();
        drop(state);
        wake(head);
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
            closed_for: Duration::from_nanos(state.pause.until().saturating_sub(state.now)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advanced(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.advance(self.nanos(now));
        state
    }

    fn nanos(&self, at: Instant) -> Nanos {
        nanos_between(self.epoch, at)
    }

    fn instant(&self, at: Nanos) -> Instant {
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        self.epoch
            .checked_add(Duration::from_nanos(at))
            .filter(|_| at != NEVER)
            .unwrap_or_else(|| self.epoch + FAR)
    }
}

fn nanos_between(epoch: Instant, at: Instant) -> Nanos {
    u64::try_from(at.saturating_duration_since(epoch).as_nanos()).unwrap_or(Nanos::MAX - 1)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
