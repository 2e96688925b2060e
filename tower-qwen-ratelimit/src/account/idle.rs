use tower_qwen_tokens::internal::clock::Instant;

use super::{Account, state::State};

/// An account that has admitted fewer calls than this has learned nothing that matters: as many as
/// it takes to expect an output.
pub(super) const LEARNS: u64 = 8;

/// What would be lost if the table dropped an account to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// Calls under way, something charged, or a throttle that is not forgotten.
    Busy,
    /// How long answers are, or that the provider limits growth or counts seconds.
    Learned,
    /// Nothing: a new account would grant no more.
    Level,
}

impl Account {
    /// What would be lost if the table dropped the account.
    pub(crate) fn idle(&self, now: Instant) -> Idle {
        let state = self.advanced(now);
        if !state.is_level() {
            Idle::Busy
        } else if state.admitted >= LEARNS || state.has_learned_growth() || state.has_learned_pace()
        {
            Idle::Learned
        } else {
            Idle::Level
        }
    }
}

impl State {
    fn has_learned_growth(&self) -> bool {
        self.slow_start.is_some() && !self.quota.starts_slowly()
    }

    /// Whether a quota that was to go at once is spread evenly.
    fn has_learned_pace(&self) -> bool {
        !self.quota.is_smooth() && !self.requests.goes_at_once()
    }

    fn is_level(&self) -> bool {
        let is_full = |gate: &crate::gate::Gate| {
            // A new account begins with one burst too; what an older one has saved beyond that is lost.
            gate.usable() == 0
                || (gate.ready_at(self.now, u64::MAX) <= self.now
                    && gate.snapshot().rate_percent == 100)
        };
        self.queue.len() == 0
            && self.in_flight == 0
            && self.concurrency.running() == 0
            && self.tokens_of_day.used() == 0
            && self.limits.are_unused()
            && self.breaker.opens_at() <= self.now
            && self.plan.opens_at() <= self.now
            && self.tokens_at_end.sum() == 0
            && is_full(&self.requests)
            && is_full(&self.tokens)
    }
}
