//! How calls wait that cannot go at once.

use std::{sync::MutexGuard, task::Waker};

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{
    Account, AdmitRequest, Charge, WaitLimit, WaitOutcome,
    admit::{Arrival, Newcomer},
    head::HeadAction,
    state::State,
};
use crate::{
    error::{RejectKind, Rejected},
    queue::{Position, Ticket, WaitQueue, Wakes},
    units::{NEVER, Nanos},
};

/// A call in the queue.
struct Waiting<'a> {
    state: MutexGuard<'a, State>,
    estimate: Charge,
    own: Ticket,
    /// Whom its joining wakes.
    joined: Wakes,
}

impl Account {
    /// Admits a call, keeps it waiting, or rejects it.
    ///
    /// A call without a ticket is a newcomer and gets one where it has to wait; admitted or
    /// rejected, it has none any more.
    #[inline]
    pub(crate) fn poll_head(
        &self,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> WaitOutcome {
        match *ticket {
            Some(own) => self.poll_again(own, request, ticket, now, waker),
            None => match self.poll_newcomer(request, ticket, now, waker) {
                Ok(charge) => WaitOutcome::Admitted(charge),
                Err(outcome) => outcome,
            },
        }
    }

    /// The same for a newcomer, with the charge of one that goes at once apart from all other
    /// outcomes.
    // A charge is large, and this is the path of most calls: here the compiler copies it once less.
    #[inline(always)]
    pub(crate) fn poll_newcomer(
        &self,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> Result<Charge, WaitOutcome> {
        match self.arrive(request, now) {
            Arrival::Admitted(charge) => Ok(charge),
            Arrival::MustWait(newcomer) => Err(self.join(newcomer, request, ticket, now, waker)),
        }
    }

    // What waits is apart: inlined, it takes the registers of the calls that go at once.
    #[inline(never)]
    fn poll_again(
        &self,
        own: Ticket,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> WaitOutcome {
        let state = self.advanced(now);
        let mut estimate = state.estimate(request.cost, request.label.as_ref());
        if let Some(arrived) = request.arrived {
            estimate.arrived = self.nanos(arrived);
        }
        let waiting = Waiting {
            state,
            estimate,
            own,
            joined: Wakes::default(),
        };
        self.poll_waiting(waiting, request, ticket, now, waker)
    }

    /// A newcomer waits, or is rejected.
    #[inline(never)]
    fn join(
        &self,
        newcomer: Newcomer<'_>,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> WaitOutcome {
        let Newcomer {
            mut state,
            estimate,
            position,
        } = newcomer;
        if let Some(rejected) = self.rejects(&state, request, estimate, position) {
            drop(state);
            return WaitOutcome::Rejected(self.rejected(rejected));
        }
        let tokens = estimate.total();
        let (own, joined) = state
            .queue
            .join(position, &request.flow, tokens, waker.clone());
        *ticket = Some(own);
        let waiting = Waiting {
            state,
            estimate,
            own,
            joined,
        };
        self.poll_waiting(waiting, request, ticket, now, waker)
    }

    fn poll_waiting(
        &self,
        waiting: Waiting<'_>,
        request: &AdmitRequest,
        ticket: &mut Option<Ticket>,
        now: Instant,
        waker: &Waker,
    ) -> WaitOutcome {
        let Waiting {
            mut state,
            estimate,
            own,
            joined,
        } = waiting;
        match self.next_action(&mut state, own, request, estimate) {
            HeadAction::GoAt(at) if at <= state.now => {
                *ticket = None;
                #[cfg(feature = "redis")]
                let estimate = state.grants.take_booking(estimate);
                let serve = |queue: &mut WaitQueue, cost| queue.admit(own, cost);
                let charge = self.admit(state, request, estimate, now, serve);
                // The head that a newcomer displaced has lost its waker: it has to be polled again.
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
                    // Only another call's end or a new quota lets it go, and both wake the head: a
                    // timer would be idle.
                    _ => WaitOutcome::WaitForWake,
                }
            }
        }
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
        if let Some(rejected) = state.rejected_by_plan() {
            return Some(rejected);
        }
        // Computed on demand: under `Fair` it reads many flows.
        let predicted = || {
            let ahead = state.queue.ahead(position, &request.flow);
            let paced = request.pace.wait_behind(ahead.requests);
            state
                .predicted_at(ahead, estimate)
                .max(state.now.saturating_add(paced))
        };
        if state.queue.len() >= self.config.max_queued.min(request.max_queued) {
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
        // Each that leaves wakes the next, so none waits for an end that is hours away.
        if let Some(rejected) = state.rejected_by_plan() {
            return HeadAction::Reject(rejected);
        }
        let limit = self.limit(request);
        if !state.queue.is_head(own) {
            return state.action_behind_head(estimate, limit, request.pace);
        }
        #[cfg(feature = "redis")]
        if let Some(link) = &self.link {
            let latest = request.limit.map(|limit| limit.until);
            let action = state.action_in_fleet(link, own, estimate, limit, latest);
            return state.within_limit(action, limit);
        }
        let paced = state.now.saturating_add(request.pace.wait_behind(0));
        let at = state.ready_at(estimate).max(paced);
        state.within_limit(HeadAction::GoAt(at), limit)
    }

    /// Leaves the queue without having been admitted.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.advanced(clock::now());
        let wakes = state.queue.leave(ticket);
        #[cfg(feature = "redis")]
        state.leave_booking(ticket);
        self.release(state, wakes);
    }

    fn limit(&self, request: &AdmitRequest) -> Option<WaitLimit<Nanos>> {
        request.limit.map(|WaitLimit { until, kind }| WaitLimit {
            until: self.nanos(until),
            kind,
        })
    }
}
