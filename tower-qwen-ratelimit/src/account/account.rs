use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    AdmitRequest, Charge, Outcome, WaitLimit, WaitOutcome, head::HeadAction, state::State,
};
#[cfg(feature = "redis")]
use crate::fleet::AccountLink;
use crate::{
    error::{RejectKind, Rejected},
    key::Key,
    observe::{LimiterEvent, Observers, emit},
    queue::{Discipline, Position, Served, Ticket, WaitQueue, Wakes},
    quota::Quota,
    snapshot::AccountSnapshot,
    units::{NEVER, Nanos, nanos},
};

/// What never comes is this far off, seen from now: from an epoch, a long-lived process would reach it.
const FAR: Duration = Duration::from_secs(86_400 * 365);

/// One account: its gates, its queue, and what it has learned.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) key: Key,
    epoch: Instant,
    pub(super) config: AccountConfig,
    /// `None` where the account is this process's alone.
    #[cfg(feature = "redis")]
    pub(super) link: Option<AccountLink>,
    state: Mutex<State>,
}

/// What the accounts of a limiter have in common.
#[derive(Debug, Clone)]
pub(crate) struct AccountConfig {
    pub(crate) max_queued: usize,
    pub(crate) discipline: Discipline,
    pub(crate) observers: Observers,
}

/// What becomes of a newcomer.
enum Arrival<'a> {
    Admitted(Charge),
    MustWait {
        state: MutexGuard<'a, State>,
        estimate: Charge,
        position: Position,
    },
}

impl Account {
    pub(crate) fn new(
        key: Key,
        quota: Quota,
        config: AccountConfig,
        epoch: Instant,
        now: Instant,
    ) -> Self {
        let queue = WaitQueue::new(config.discipline);
        Self {
            key,
            epoch,
            config,
            #[cfg(feature = "redis")]
            link: None,
            state: Mutex::new(State::new(quota, queue, nanos_between(epoch, now))),
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Admits a call, keeps it waiting, or rejects it.
    ///
    /// A call without a ticket is a newcomer and gets one where it has to wait; admitted or rejected, it has none any more.
    pub(crate) fn poll_head(
        &self,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> WaitOutcome {
        let (mut state, estimate, own, joined) = match *ticket {
            Some(own) => {
                let state = self.advanced(now);
                let estimate = state.estimate(request.cost, request.label.as_ref());
                (state, estimate, own, Wakes::default())
            }
            None => match self.arrive(request, now) {
                Arrival::Admitted(charge) => return WaitOutcome::Admitted(charge),
                Arrival::MustWait {
                    mut state,
                    estimate,
                    position,
                } => {
                    if let Some(rejected) = self.rejects(&state, request, estimate, position) {
                        drop(state);
                        return WaitOutcome::Rejected(self.rejected(rejected));
                    }
                    let tokens = estimate.total();
                    let (own, wakes) =
                        state
                            .queue
                            .join(position, &request.flow, tokens, waker.clone());
                    *ticket = Some(own);
                    (state, estimate, own, wakes)
                }
            },
        };
        match self.next_action(&mut state, own, request, estimate) {
            HeadAction::GoAt(at) if at <= state.now => {
                *ticket = None;
                #[cfg(feature = "redis")]
                let estimate = state.take_booking(estimate);
                let serve = |queue: &mut WaitQueue, cost| queue.admit(own, cost);
                let charge = self.admit(state, request, estimate, now, serve);
                joined.wake();
                WaitOutcome::Admitted(charge)
            }
            HeadAction::Reject(rejected) => {
                *ticket = None;
                self.release(state, joined);
                self.leave(own);
                WaitOutcome::Rejected(self.rejected(rejected))
            }
            action => {
                let replaced = state.queue.set_waker(own, waker);
                self.release(state, joined);
                drop(replaced);
                match action {
                    HeadAction::GoAt(at) | HeadAction::WaitUntil(at) if at != NEVER => {
                        WaitOutcome::WaitUntil(self.instant(at))
                    }
                    // Only another call's end or a new quota lets it go, and both wake the head: a timer would be idle.
                    _ => WaitOutcome::WaitForWake,
                }
            }
        }
    }

    /// Admits a newcomer if no waiter goes before it and it may go now.
    pub(super) fn try_admit(
        &self,
        request: &AdmitRequest,
        now: Instant,
    ) -> Result<Charge, Rejected> {
        let (state, estimate) = match self.arrive(request, now) {
            Arrival::Admitted(charge) => return Ok(charge),
            Arrival::MustWait {
                state, estimate, ..
            } => (state, estimate),
        };
        let wait = state.wait_of(estimate);
        drop(state);
        let rejected = wait.map_or_else(
            |rejected| rejected,
            |wait| Rejected::new(RejectKind::MaxWait, Some(wait)),
        );
        Err(self.rejected(rejected))
    }

    #[inline]
    fn arrive(&self, request: &AdmitRequest, now: Instant) -> Arrival<'_> {
        let state = self.advanced(now);
        let estimate = state.estimate(request.cost, request.label.as_ref());
        let arrived = self.nanos(request.arrived.unwrap_or(now));
        let position = state.queue.position(arrived, &request.flow);
        let goes = position.is_first()
            && state.fits_a_window(estimate)
            && state.granted_at(estimate).is_some_and(|at| at <= state.now);
        if !goes {
            return Arrival::MustWait {
                state,
                estimate,
                position,
            };
        }
        let serve =
            |queue: &mut WaitQueue, cost| queue.admit_at_once(position, &request.flow, cost);
        Arrival::Admitted(self.admit(state, request, estimate, now, serve))
    }

    /// Charges an admitted call wherever it counts.
    #[inline]
    fn admit(
        &self,
        mut state: MutexGuard<'_, State>,
        request: &AdmitRequest,
        due: Charge,
        now: Instant,
        serve: impl FnOnce(&mut WaitQueue, u64) -> (Served, Wakes),
    ) -> Charge {
        let mut charge = state.charge(due);
        #[cfg(feature = "redis")]
        self.number(&mut charge);
        let cost = state.price(due.total());
        let (served, wakes) = serve(&mut state.queue, cost);
        charge.served = served;
        #[cfg(feature = "redis")]
        let is_late = state.is_late_for(due, charge);
        self.release(state, wakes);
        #[cfg(feature = "redis")]
        if is_late {
            self.report_send(charge);
        }
        let arrived = request.arrived.unwrap_or(now);
        self.emit(&LimiterEvent::Admitted {
            key: &self.key,
            waited: now.saturating_duration_since(arrived),
            reserved: charge.total(),
        });
        charge
    }

    /// Why a newcomer must not even wait.
    fn rejects(
        &self,
        state: &State,
        request: &AdmitRequest,
        estimate: Charge,
        position: Position,
    ) -> Option<Rejected> {
        if !state.fits_a_window(estimate) {
            return Some(Rejected::new(RejectKind::TooLarge, None));
        }
        // Not computed where nothing depends on it: under `Fair` it looks at many flows.
        let predicted = || state.predicted_at(state.queue.ahead(position, &request.flow), estimate);
        if state.queue.len() >= self.config.max_queued {
            return Some(state.rejected(RejectKind::QueueFull, predicted()));
        }
        let limit = self.limit(request)?;
        let at = predicted();
        (at > limit.until).then(|| state.rejected(limit.kind, at))
    }

    /// What a waiter is to do.
    fn next_action(
        &self,
        state: &mut State,
        own: Ticket,
        request: &AdmitRequest,
        estimate: Charge,
    ) -> HeadAction {
        let limit = self.limit(request);
        if !state.queue.is_head(own) {
            return state.action_behind_head(estimate, limit);
        }
        #[cfg(feature = "redis")]
        if let Some(link) = &self.link {
            let latest = request.limit.map(|limit| limit.until);
            let action = state.action_in_fleet(link, own, estimate, limit, latest);
            return state.within_limit(action, limit);
        }
        state.within_limit(HeadAction::GoAt(state.ready_at(estimate)), limit)
    }

    /// Leaves the queue without having been admitted.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.advanced(clock::now());
        let wakes = state.queue.leave(ticket);
        #[cfg(feature = "redis")]
        state.leave_booking(ticket);
        self.release(state, wakes);
    }

    /// Dates a charge anew: the call goes out now and not, as was assumed, when it was admitted.
    pub(crate) fn send(&self, charge: &mut Charge, now: Instant) {
        let at = self.nanos(now);
        if at < charge.dated_until {
            charge.at = charge.at.max(at);
            return;
        }
        self.advanced(now).redate(charge);
        #[cfg(feature = "redis")]
        self.report_send(*charge);
    }

    /// Settles a charge. Called once per charge.
    pub(crate) fn settle(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let settled = self.change(now, |state| state.settle_with_queue(charge, outcome));
        self.settled(charge, outcome, settled);
    }

    /// Settles a charge whose call has ended. Called once per charge.
    pub(crate) fn settle_ended(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let settled = self.change(now, |state| {
            let settled = state.settle_with_queue(charge, outcome);
            state.end(charge);
            settled
        });
        self.settled(charge, outcome, settled);
    }

    /// The body of a settled call's answer has ended.
    pub(crate) fn end(&self, charge: Charge) {
        if charge.is_timed {
            self.change(clock::now(), |state| state.end(charge));
        }
    }

    /// Goes on under another quota of the same window.
    pub(crate) fn set_quota(&self, quota: Quota, now: Instant) {
        self.change(now, |state| state.set_quota(quota));
    }

    pub(crate) fn snapshot(&self, now: Instant) -> AccountSnapshot {
        let state = self.advanced(now);
        AccountSnapshot {
            key: self.key.clone(),
            requests: state.requests.snapshot(),
            tokens: state.tokens.snapshot(),
            running: state.concurrency.running(),
            may_run: state.concurrency.allowed(),
            tokens_of_day: state.tokens_of_day.used(),
            slow_start_percent: state.slow_start.as_ref().map(|it| it.share().percent()),
            queued: state.queue.len(),
            in_flight: state.in_flight,
            admitted: state.admitted,
            reserved_tokens: state.reserved_tokens,
            settled_tokens: state.settled_tokens,
            expected_output: state.output.expected(None, None),
            throttled: state.throttled.clone(),
            unexplained_throttles: state.unexplained,
            closed_for: Duration::from_nanos(state.breaker.opens_at().saturating_sub(state.now)),
            #[cfg(feature = "redis")]
            fleet: state.fleet_snapshot(),
        }
    }

    fn settled(&self, charge: Charge, outcome: Outcome, (used, wakes): (u64, Wakes)) {
        wakes.wake();
        #[cfg(feature = "redis")]
        self.report_outcome(charge, outcome);
        self.emit(&LimiterEvent::Settled {
            key: &self.key,
            reserved: charge.total(),
            used,
            known: matches!(outcome, Outcome::Known { .. }),
        });
    }

    fn rejected(&self, rejected: Rejected) -> Rejected {
        let key = &self.key;
        self.emit(&LimiterEvent::Rejected { key, rejected });
        rejected
    }

    #[inline]
    pub(super) fn emit(&self, event: &LimiterEvent<'_>) {
        emit(&self.config.observers, event);
    }

    /// Changes what decides when the head may go, and wakes the head.
    pub(super) fn change<R>(&self, now: Instant, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.advanced(now);
        let result = change(&mut state);
        let wakes = state.queue.wake_head();
        self.release(state, wakes);
        result
    }

    /// Releases the lock, and then does what must not be done under it.
    #[inline]
    fn release(&self, state: MutexGuard<'_, State>, wakes: Wakes) {
        #[cfg(feature = "redis")]
        let outbox = self.release_with_outbox(state);
        #[cfg(not(feature = "redis"))]
        drop(state);
        wakes.wake();
        #[cfg(feature = "redis")]
        if let Some(outbox) = outbox {
            self.deliver(outbox);
        }
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

    fn limit(&self, request: &AdmitRequest) -> Option<WaitLimit<Nanos>> {
        request.limit.map(|WaitLimit { until, kind }| WaitLimit {
            until: self.nanos(until),
            kind,
        })
    }

    pub(super) fn nanos(&self, at: Instant) -> Nanos {
        nanos_between(self.epoch, at)
    }

    pub(super) fn instant(&self, at: Nanos) -> Instant {
        self.epoch
            .checked_add(Duration::from_nanos(at))
            .filter(|_| at != NEVER)
            .unwrap_or_else(|| clock::now() + FAR)
    }
}

// Never `NEVER`: a clock that has run for so long has not stopped.
#[inline]
fn nanos_between(epoch: Instant, at: Instant) -> Nanos {
    nanos(at.saturating_duration_since(epoch)).min(NEVER - 1)
}
