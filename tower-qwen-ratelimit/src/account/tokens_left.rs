use std::time::Duration;

use tower_qwen_tokens::internal::clock::Instant;

use super::Account;
use crate::units::Nanos;

/// What is left of an account's tokens, as a server states it in its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokensLeft {
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
    /// What is left of the tokens.
    pub(crate) fn tokens_left(&self, now: Instant) -> TokensLeft {
        let state = self.advanced(now);
        let limit = state.tokens.usable();
        // The fuller of the two windows binds.
        let used = state
            .tokens
            .snapshot()
            .used
            .max(state.tokens_at_end.sum())
            .min(limit);
        let left = limit - used;
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
        TokensLeft {
            limit,
            now: left,
            more_in: until(left.saturating_add(1)),
            all_in: until(limit),
        }
    }
}
