use std::time::Duration;

use tower_qwen_tokens::internal::clock::Instant;

use super::Account;
use crate::{cost::Cost, limit::Limit, units::Nanos};

/// One dimension of a caller's quota at one instant, as a server states it in its headers. Unit of
/// the amounts: requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaStatus {
    /// The quota of a window.
    pub(crate) limit: u64,
    /// What can be used now.
    pub(crate) remaining: u64,
    /// The time until more remains; zero while nothing is used.
    pub(crate) more_in: Duration,
    /// The time until the whole quota remains; zero while nothing is used.
    pub(crate) full_in: Duration,
}

impl Account {
    /// The further limit for which a call of this cost waits, if it waits for nothing else longer.
    #[cold]
    pub(crate) fn binding(&self, cost: Cost, now: Instant) -> Option<Limit> {
        let state = self.advanced(now);
        let estimate = state.estimate(cost, None);
        let (limit, at) = state.limits.binding(state.now, estimate.amounts())?;
        (at >= state.ready_at(estimate)).then_some(limit)
    }

    /// What is left of the tokens.
    pub(crate) fn token_status(&self, now: Instant) -> QuotaStatus {
        let state = self.advanced(now);
        let limit = state.tokens.usable();
        // The fuller of the two windows binds.
        let used = state
            .tokens
            .snapshot()
            .used
            .max(state.tokens_at_end.sum())
            .min(limit);
        let remaining = limit - used;
        let until = |amount: u64| {
            // Nothing is used: a pause of the account is no matter of its tokens.
            if used == 0 {
                return Duration::ZERO;
            }
            let at: Nanos = state
                .tokens
                .ready_at(state.now, amount)
                .max(state.tokens_at_end.ready_at(state.now, amount, limit))
                .max(state.breaker.opens_at());
            state.wait_until(at)
        };
        QuotaStatus {
            limit,
            remaining,
            more_in: until(remaining.saturating_add(1)),
            full_in: until(limit),
        }
    }
}
