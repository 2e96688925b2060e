//! What an account is told from outside: by its calls, its provider and its owner.

use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::{
    PacedUntil, Verdict,
    internal::clock::{self, Instant},
    protocol::{Level, Levels},
};

use super::{
    Account,
    charge::{Charge, Outcome},
};
use crate::{
    gate::{Nanos, Stated},
    observe::{LimiterEvent, emit},
    quota::Quota,
};

impl Account {
    /// Learns what an answer cost.
    pub(crate) fn learn(&self, label: Option<&Arc<str>>, output: u64) {
        self.lock().expect.learn(label, output);
    }

    /// Hears that a call was accepted.
    pub(crate) fn accepted(&self, charge: Charge) {
        let mut state = self.lock();
        if state.pause.accepted(charge.at) {
            let wakes = state.queue.wake_head();
            drop(state);
            wakes.wake();
        }
    }

    /// Hears of a throttle; says until when the account is closed, and whether for all.
    pub(crate) fn throttled(&self, charge: Charge, verdict: &Verdict, now: Instant) -> PacedUntil {
        let cause = verdict.cause();
        let (until, outage, unexplained) = self.change(now, |state| {
            let before = state.unexplained;
            let until = state.throttled(charge, cause, verdict.retry_after());
            let outage = state.pause.is_for_all();
            (until, outage, state.unexplained > before)
        });
        let until = self.instant(until);
        self.tell_pause(until);
        emit(
            &self.manner.observers,
            &LimiterEvent::Throttled {
                key: &self.key,
                cause,
                closed_for: until.saturating_duration_since(now),
                unexplained,
            },
        );
        PacedUntil::new(until).outage(outage)
    }

    /// Hears that the provider is not available; says so where that closes the account.
    pub(crate) fn unavailable(
        &self,
        charge: Charge,
        verdict: &Verdict,
        now: Instant,
    ) -> Option<PacedUntil> {
        let is_closed = verdict.retry_after().is_some() || {
            let mut state = self.lock();
            state.pause.missed(charge.at)
        };
        is_closed.then(|| self.throttled(charge, verdict, now))
    }

    /// Hears what the provider says is left of its limits.
    pub(crate) fn told(&self, levels: &Levels, now: Instant) {
        let mut state = self.advanced(now);
        let at = state.now;
        state.told(
            levels.requests.map(|level| stated(level, at)),
            levels.tokens.map(|level| stated(level, at)),
        );
    }

    /// Hears that a call runs no more that has settled.
    pub(crate) fn ended(&self, charge: Charge) {
        if charge.is_timed {
            self.change(clock::now(), |state| state.ended(charge));
        }
    }

    /// Hears that a call runs no more, and books what became of it.
    pub(crate) fn ended_as(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let (used, wakes) = self.change(now, |state| {
            let booked = state.book(charge, outcome);
            state.ended(charge);
            booked
        });
        wakes.wake();
        self.tell_outcome(charge, outcome);
        self.tell_settled(charge, outcome, used);
    }

    /// Goes on under another quota of the same window.
    pub(crate) fn set_quota(&self, quota: Quota, now: Instant) {
        let is_shared = self.member.is_some();
        self.change(now, |state| state.set_quota(quota, is_shared));
    }
}

fn stated(level: Level, now: Nanos) -> Stated {
    let reset = level.reset.unwrap_or(Duration::ZERO).as_nanos();
    Stated {
        limit: level.limit,
        remaining: level.remaining,
        level_at: now.saturating_add(u64::try_from(reset).unwrap_or(u64::MAX)),
    }
}
