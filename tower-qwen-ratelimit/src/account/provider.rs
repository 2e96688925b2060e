//! What an account learns from the provider's answers.

use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::{
    PacedUntil, Verdict,
    internal::clock::Instant,
    protocol::{Level, Levels},
};

use super::{Account, Charge};
use crate::{
    gate::ProviderLevel,
    observe::LimiterEvent,
    units::{Nanos, nanos},
};

impl Account {
    /// An answer cost `output` tokens.
    pub(crate) fn learn(&self, label: Option<&Arc<str>>, output: u64) {
        self.lock().output.learn(label, output);
    }

    /// The provider accepted a call.
    pub(crate) fn on_accept(&self, charge: Charge) {
        let mut state = self.lock();
        if state.breaker.on_accept(charge.at) {
            let wakes = state.queue.wake_head();
            drop(state);
            wakes.wake();
        }
    }

    /// The provider throttled a call. Returns until when the account is closed, and whether by an
    /// outage.
    pub(crate) fn on_throttle(
        &self,
        charge: Charge,
        verdict: &Verdict,
        now: Instant,
    ) -> PacedUntil {
        let cause = verdict.cause();
        let (until, is_outage, unexplained) = self.change(now, |state| {
            let before = state.unexplained;
            let until = state.on_throttle(charge, cause, verdict.retry_after());
            let is_outage = state.breaker.is_outage();
            (until, is_outage, state.unexplained > before)
        });
        let until = self.instant(until);
        #[cfg(feature = "redis")]
        self.report_throttle(until);
        self.emit(&LimiterEvent::Throttled {
            key: &self.key,
            cause,
            closed_for: until.saturating_duration_since(now),
            unexplained,
        });
        PacedUntil::new(until).outage(is_outage)
    }

    /// The provider is not available. Returns until when the account is closed, where that closes
    /// it.
    pub(crate) fn on_unavailable(
        &self,
        charge: Charge,
        verdict: &Verdict,
        now: Instant,
    ) -> Option<PacedUntil> {
        // With a hint it closes at once: the provider itself asks for the pause.
        let closes =
            verdict.retry_after().is_some() || self.lock().breaker.on_unavailable(charge.at);
        closes.then(|| self.on_throttle(charge, verdict, now))
    }

    /// The provider says what is left of its limits.
    pub(crate) fn lower_to(&self, levels: &Levels, now: Instant) {
        let mut state = self.advanced(now);
        let at = state.now;
        state.lower_to(
            levels.requests.map(|level| provider_level(level, at)),
            levels.tokens.map(|level| provider_level(level, at)),
        );
    }
}

fn provider_level(level: Level, now: Nanos) -> ProviderLevel {
    ProviderLevel {
        limit: level.limit,
        remaining: level.remaining,
        reset_at: now.saturating_add(nanos(level.reset.unwrap_or(Duration::ZERO))),
    }
}
