use std::time::Duration;

use tower_qwen_tokens::internal::clock::Instant;

use super::{Account, Charge, state::State};
use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
    gate::Nanos,
};

/// What is left of an account's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Tokens per window.
    pub(crate) limit: u64,
    /// Tokens that may go now.
    pub(crate) now: u64,
    /// Until there are more.
    pub(crate) more_in: Duration,
    /// Until there are all.
    pub(crate) all_in: Duration,
}

impl Account {
    /// Admits the call at once or refuses it with the wait that it would take. Overtakes nobody.
    pub(crate) fn try_enter(&self, cost: Cost, now: Instant) -> Result<Charge, Rejected> {
        let admitted = self.try_decide(cost, now);
        match &admitted {
            Ok(charge) => self.tell_admitted_after(Duration::ZERO, *charge),
            Err(rejected) => self.tell_refused(*rejected),
        }
        admitted
    }

    fn try_decide(&self, cost: Cost, now: Instant) -> Result<Charge, Rejected> {
        let mut state = self.advanced(now);
        let estimate = state.estimate(cost, None);
        let wait = state.wait_of(estimate)?;
        if !wait.is_zero() {
            return Err(Rejected::new(RejectKind::MaxWait, Some(wait)));
        }
        let mut charge = state.charge(estimate);
        self.number(&mut charge);
        Ok(charge)
    }

    /// The wait that a call would take; nothing where it would be admitted now.
    pub(crate) fn wait_of(&self, cost: Cost, now: Instant) -> Result<Duration, Rejected> {
        let state = self.advanced(now);
        state.wait_of(state.estimate(cost, None))
    }

    /// What is left of the tokens.
    pub(crate) fn tokens_left(&self, now: Instant) -> Left {
        let state = self.advanced(now);
        let limit = state.tokens.usable();
        let used = state
            .tokens
            .snapshot()
            .used
            .max(state.tokens_at_end.sum())
            .min(limit);
        let left = limit - used;
        let until = |amount: u64| -> Duration {
            let at: Nanos = state
                .tokens
                .ready_at(state.now, amount)
                .max(state.tokens_at_end.ready_at(state.now, amount, limit))
                .max(state.pause.until());
            Duration::from_nanos(at.saturating_sub(state.now))
        };
        Left {
            limit,
            now: left,
            more_in: if used == 0 {
                Duration::ZERO
            } else {
                until(left + 1)
            },
            all_in: if used == 0 {
                Duration::ZERO
            } else {
                until(limit)
            },
        }
    }
}

impl State {
    pub(super) fn wait_of(&self, estimate: Charge) -> Result<Duration, Rejected> {
        if !self.fits_a_window(estimate) {
            return Err(Rejected::new(RejectKind::TooLarge, None));
        }
        let ahead = self.queue.everybody();
        let at = match self.turn_at(estimate) {
            Some(at) if self.queue.len() == 0 => at,
            Some(_) => self
                .predicted(ahead.requests, ahead.tokens, estimate)
                .max(self.now.saturating_add(1)),
            // Only the store knows, and it is not asked here.
            None => self
                .predicted_in_fleet(ahead.requests, ahead.tokens)
                .max(self.now.saturating_add(1)),
        };
        Ok(Duration::from_nanos(at.saturating_sub(self.now)))
    }
}
