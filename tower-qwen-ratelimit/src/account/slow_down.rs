//! How an account's gates follow what the provider says.

use std::time::Duration;

use tower_qwen_tokens::Cause;

use super::{Charge, state::State};
use crate::{
    adapt::{Recurrence, SlowStart, Throttled},
    gate::ProviderLevel,
    units::{Fraction, Nanos},
};

impl State {
    /// The provider throttled a call. Returns when the account opens again.
    pub(super) fn on_throttle(
        &mut self,
        charge: Charge,
        cause: Cause,
        retry_after: Option<Duration>,
    ) -> Nanos {
        *self.throttled.entry(cause.as_str()).or_default() += 1;
        self.unexplained += u64::from(cause == Cause::TokenRate && self.has_room());
        let recurrence = self.breaker.recurrence();
        let window = self.quota.window_nanos();
        let is_news = self
            .breaker
            .on_throttle(charge.at, self.now, window, retry_after);
        let throttled = Throttled::by(cause);
        // While the store is away and calls go without limits, no rate of ours is too high; calls
        // at one time are counted on.
        #[cfg(feature = "redis")]
        let is_news = is_news && (!self.is_unlimited() || throttled == Throttled::Concurrency);
        if is_news && self.breaker.slows(throttled) {
            self.slow_down(throttled, recurrence);
        }
        self.breaker.opens_at()
    }

    /// Whether a fifth of the tokens that may be used is left, by our own count.
    fn has_room(&self) -> bool {
        let used = self.tokens.snapshot().used.max(self.tokens_at_end.sum());
        used <= self.tokens.allowed() / 5 * 4
    }

    fn slow_down(&mut self, throttled: Throttled, recurrence: Recurrence) {
        match throttled {
            Throttled::Growth => {
                // Calls of the old rate are under way: it goes on from half of that, not from the
                // least rate.
                if self.slow_start.is_none() {
                    self.start_slowly(Some(Fraction::WHOLE));
                }
                if let Some(slow_start) = &mut self.slow_start {
                    slow_start.cut();
                }
                self.follow_slow_start();
            }
            Throttled::Concurrency => self.concurrency.on_throttle(),
            _ => {}
        }
        if throttled.concerns_requests() {
            self.requests.on_throttle(recurrence);
        }
        if throttled.concerns_tokens() {
            self.tokens.on_throttle(recurrence);
        }
    }

    /// The provider says what is left of its limits.
    pub(super) fn lower_to(
        &mut self,
        requests: Option<ProviderLevel>,
        tokens: Option<ProviderLevel>,
    ) {
        if let Some(level) = requests {
            self.requests.lower_to(level);
        }
        if let Some(level) = tokens {
            self.tokens.lower_to(level);
        }
    }

    /// Begins slow start, at this share of the rate or at the least one.
    pub(super) fn start_slowly(&mut self, share: Option<Fraction>) {
        let slow_start = SlowStart::new(
            self.requests.own(),
            self.tokens.own(),
            self.quota.window_nanos(),
            self.now,
        );
        self.slow_start = Some(match share {
            Some(share) => slow_start.at(share),
            None => slow_start,
        });
        self.follow_slow_start();
    }

    pub(super) fn follow_slow_start(&mut self) {
        if let Some(slow_start) = &self.slow_start {
            self.requests.set_slow_start(slow_start.share());
            self.tokens.set_slow_start(slow_start.share());
        }
    }
}
