use std::time::Duration;

use super::{Charge, Pace, WaitLimit, state::State};
use crate::{
    error::{RejectKind, Rejected},
    queue::Ahead,
    units::{NEVER, Nanos},
};

/// What a waiter is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadAction {
    /// To go at this instant, or now if it has come.
    GoAt(Nanos),
    /// To wait for the store's answer or for others, but not longer than until this instant.
    WaitUntil(Nanos),
    /// To wait until it is woken.
    Wait,
    Reject(Rejected),
}

impl State {
    /// When a call may go that no waiter is ahead of; `None` where only the store knows.
    #[inline]
    pub(super) fn granted_at(&self, estimate: Charge) -> Option<Nanos> {
        #[cfg(feature = "redis")]
        if self.grants.members > 0 {
            return self.ready_in_fleet(estimate);
        }
        Some(self.ready_at(estimate))
    }

    /// When a newcomer behind all this will go, by today's rate.
    pub(super) fn predicted_at(&self, ahead: Ahead, estimate: Charge) -> Nanos {
        #[cfg(feature = "redis")]
        if self.grants.is_booked() {
            return self.predicted_in_fleet(ahead);
        }
        self.predicted(ahead, estimate)
    }

    /// What a waiter behind the head is to do. It may wait for longer than was predicted: the
    /// provider throttles, a call costs more than was estimated or runs for longer, the store is
    /// silent.
    pub(super) fn action_behind_head(
        &self,
        estimate: Charge,
        limit: Option<WaitLimit<Nanos>>,
        pace: Pace,
    ) -> HeadAction {
        let Some(limit) = limit else {
            return HeadAction::Wait;
        };
        if limit.until > self.now {
            return HeadAction::WaitUntil(limit.until);
        }
        let paced = Duration::from_nanos(pace.wait_behind(self.queue.total().requests));
        let wait = self.wait_of(estimate).ok().map(|wait| wait.max(paced));
        #[cfg(feature = "redis")]
        let wait = wait.map(|wait| wait.max(self.wait_until(self.store_answers_by())));
        HeadAction::Reject(Rejected::new(limit.kind, wait))
    }

    /// What the head is to do, for a call whose wait has a limit.
    pub(super) fn within_limit(
        &self,
        action: HeadAction,
        limit: Option<WaitLimit<Nanos>>,
    ) -> HeadAction {
        let Some(WaitLimit { until, kind }) = limit else {
            return action;
        };
        match action {
            // The end of another call is not known: the rejection states the mean.
            HeadAction::GoAt(NEVER) if until <= self.now => {
                let at = self.concurrency.predicted(self.now, 0);
                HeadAction::Reject(self.rejected(kind, at))
            }
            HeadAction::GoAt(NEVER) => HeadAction::WaitUntil(until),
            HeadAction::GoAt(at) if at > self.now && at > until => {
                HeadAction::Reject(self.rejected(kind, at))
            }
            HeadAction::WaitUntil(at) if until <= self.now => {
                HeadAction::Reject(self.rejected(kind, at))
            }
            HeadAction::WaitUntil(at) => HeadAction::WaitUntil(at.min(until)),
            action => action,
        }
    }

    /// The wait that a call behind all others would have; nothing where it may go now.
    pub(super) fn wait_of(&self, estimate: Charge) -> Result<Duration, Rejected> {
        let ahead = self.queue.total();
        self.wait_behind(ahead, ahead.requests == 0, estimate)
    }

    /// The wait that a call behind these would have, or the first of all.
    pub(super) fn wait_behind(
        &self,
        ahead: Ahead,
        is_first: bool,
        estimate: Charge,
    ) -> Result<Duration, Rejected> {
        if !self.fits_a_window(estimate) {
            return Err(Rejected::new(RejectKind::TooLarge, None));
        }
        if let Some(rejected) = self.rejected_by_plan() {
            return Err(rejected);
        }
        let at = match self.granted_at(estimate) {
            Some(at) if is_first => at,
            // Behind others it does not go now, even if there is room for it.
            Some(_) => self
                .predicted(ahead, estimate)
                .max(self.now.saturating_add(1)),
            #[cfg(feature = "redis")]
            None => self
                .predicted_in_fleet(ahead)
                .max(self.now.saturating_add(1)),
            #[cfg(not(feature = "redis"))]
            None => NEVER,
        };
        Ok(self.wait_until(at))
    }

    /// A rejection that says how long the wait until `at` would have been.
    pub(super) fn rejected(&self, kind: RejectKind, at: Nanos) -> Rejected {
        Rejected::new(kind, Some(self.wait_until(at)))
    }

    /// The rejection of every call while the plan is used up.
    #[inline]
    pub(super) fn rejected_by_plan(&self) -> Option<Rejected> {
        match self.plan.is_closed(self.now) {
            true => self.closed_by_plan(),
            false => None,
        }
    }

    #[cold]
    fn closed_by_plan(&self) -> Option<Rejected> {
        let (plan, ends_at) = self.plan.used_up()?;
        let wait = ends_at.map(|at| self.wait_until(at));
        Some(Rejected::by_plan(plan, wait))
    }

    pub(super) fn wait_until(&self, at: Nanos) -> Duration {
        Duration::from_nanos(at.saturating_sub(self.now))
    }
}
