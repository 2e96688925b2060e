//! The one path on which calls are admitted: at once here, or once they have waited (`wait`).

use std::{sync::MutexGuard, time::Duration};

use tower_qwen_tokens::internal::clock::Instant;

use super::{Account, AdmitRequest, Charge, Pace, state::State};
use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
    observe::LimiterEvent,
    queue::{FlowKey, Position, Served, WaitQueue, Wakes},
};

/// What becomes of a newcomer.
pub(super) enum Arrival<'a> {
    Admitted(Charge),
    MustWait(Newcomer<'a>),
}

/// A newcomer that cannot go at once.
pub(super) struct Newcomer<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) estimate: Charge,
    pub(super) position: Position,
}

impl Account {
    /// Admits the call at once or rejects it with the wait that it would take. Overtakes no waiter,
    /// and is charged to its flow as if it had waited.
    // Inlined where the request is made, since most of it is known to be empty there: a twentieth of
    // the instructions from here to settle.
    #[inline(always)]
    pub(crate) fn try_acquire(
        &self,
        request: &AdmitRequest,
        now: Instant,
    ) -> Result<Charge, Rejected> {
        match self.arrive(request, now) {
            Arrival::Admitted(charge) => Ok(charge),
            // A copy: lent, the request would have to be in memory for calls that go, too.
            Arrival::MustWait(newcomer) => {
                Err(self.rejected_at_once(newcomer, request.flow.clone()))
            }
        }
    }

    #[inline(never)]
    fn rejected_at_once(&self, newcomer: Newcomer<'_>, key: FlowKey) -> Rejected {
        let Newcomer {
            state,
            estimate,
            position,
        } = newcomer;
        let ahead = state.queue.ahead(position, &key);
        let wait = state.wait_behind(ahead, position.is_first(), estimate);
        drop(state);
        self.rejected(wait.map_or_else(
            |rejected| rejected,
            |wait| Rejected::new(RejectKind::MaxWait, Some(wait)),
        ))
    }

    /// The wait that a call would take; nothing where it would be admitted now.
    pub(crate) fn wait_of(&self, cost: Cost, now: Instant) -> Result<Duration, Rejected> {
        let state = self.advanced(now);
        state.wait_of(state.estimate(cost, None))
    }

    /// The same with the wait of one request more at a pace, both behind all that waits.
    pub(crate) fn waits_of(&self, cost: Cost, pace: Pace, now: Instant) -> (Duration, Duration) {
        let state = self.advanced(now);
        let paced = pace.wait_behind(state.queue.total().requests);
        let wait = state.wait_of(state.estimate(cost, None));
        (wait.unwrap_or(Duration::MAX), Duration::from_nanos(paced))
    }

    // Always, as `admit` and `release`: every call comes here, and the copies of charge and guard
    // between functions are a twentieth of its instructions (2,390 without, 2,293 with them, from
    // acquire to settle).
    #[inline(always)]
    pub(super) fn arrive(&self, request: &AdmitRequest, now: Instant) -> Arrival<'_> {
        let at = self.nanos(now);
        let state = self.advanced_to(at);
        let mut estimate = state.estimate(request.cost, request.label.as_ref());
        if let Some(arrived) = request.arrived {
            // Nearly always now, and the difference of two instants is not free.
            estimate.arrived = match arrived == now {
                true => at,
                false => self.nanos(arrived),
            };
        }
        let position = state
            .queue
            .position(estimate.arrived, request.priority, &request.flow);
        let goes = position.is_first()
            && !state.plan.is_closed(state.now)
            && state.fits_a_window(estimate)
            && request.pace.is_open()
            && state.granted_at(estimate).is_some_and(|at| at <= state.now);
        if !goes {
            return Arrival::MustWait(Newcomer {
                state,
                estimate,
                position,
            });
        }
        let serve =
            |queue: &mut WaitQueue, cost| queue.admit_at_once(position, &request.flow, cost);
        Arrival::Admitted(self.admit(state, request, estimate, now, serve))
    }

    /// Charges an admitted call wherever it counts.
    #[inline(always)]
    pub(super) fn admit(
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
        if charge.is_probe {
            self.reject_others(now);
        }
        let since = |arrived| now.saturating_duration_since(arrived);
        let earlier = request.arrived.filter(|arrived| *arrived != now);
        self.emit(&LimiterEvent::Admitted {
            key: &self.key,
            waited: earlier.map_or(Duration::ZERO, since),
            reserved: charge.total(),
            priority: request.priority,
        });
        charge
    }

    /// Those behind a probe are rejected while it is under way.
    #[cold]
    fn reject_others(&self, now: Instant) {
        self.change(now, |_| {});
    }

    pub(super) fn rejected(&self, rejected: Rejected) -> Rejected {
        let key = &self.key;
        self.emit(&LimiterEvent::Rejected { key, rejected });
        rejected
    }
}
