//! What an account learns from the provider's answers.

use std::{mem::replace, sync::Arc, time::Duration};

use tower_qwen_tokens::{
    Cause, PacedUntil, Verdict,
    internal::clock::{Instant, WallClock},
    protocol::{Level, Levels},
};

use super::{Account, Charge, state::State};
use crate::{
    adapt::{PlanEnd, Recurrence, SlowStart, Throttled},
    gate::ProviderLevel,
    observe::LimiterEvent,
    units::{Fraction, Nanos, nanos},
};

impl Account {
    /// An answer cost `output` tokens.
    pub(crate) fn learn(&self, label: Option<&Arc<str>>, output: u64) {
        self.lock().output.learn(label, output);
    }

    /// The provider accepted a call.
    pub(crate) fn on_accept(&self, charge: Charge) {
        let mut state = self.lock();
        let is_opened = state.plan.on_accept(charge.at);
        if state.breaker.on_accept(charge.at) || is_opened {
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
            let (hint, ceiling) = (verdict.retry_after(), verdict.retry_within());
            // Zero seconds say that the server does not know.
            let ceiling = ceiling.filter(|ceiling| !ceiling.is_zero());
            let until = state.on_throttle(charge, cause, hint, ceiling);
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

    /// What an error answer says beyond its own call: that the plan is used up, or a wait that
    /// nobody can believe.
    pub(crate) fn on_error(&self, charge: Charge, verdict: &Verdict, now: Instant) {
        if let Some(window) = verdict.plan_window() {
            self.on_plan_used_up(charge, verdict, window, now);
        }
        if verdict.has_absurd_wait() && !replace(&mut self.lock().has_reported_absurd_wait, true) {
            self.emit(&LimiterEvent::AbsurdWait {
                key: &self.key,
                cause: verdict.cause(),
            });
        }
    }

    /// Closes the account until the plan's window ends, and lets no call wait for that.
    fn on_plan_used_up(&self, charge: Charge, verdict: &Verdict, window: Duration, now: Instant) {
        // A verdict that was read without a clock states a wait alone.
        let ends = |wait| {
            verdict
                .until()
                .or_else(|| WallClock::new().now().checked_add(wait))
        };
        let stated = verdict
            .retry_after()
            .and_then(|wait| Some((wait, ends(wait)?)));
        let plan = self.change(now, |state| {
            let (now, quota_window) = (state.now, state.quota.window_nanos());
            let stated = stated.map(|(wait, until)| PlanEnd {
                at: now.saturating_add(nanos(wait)),
                until,
            });
            let is_news = state.plan.on_used_up(charge.at, now, quota_window, stated);
            state.plan.used_up().filter(|_| is_news)
        });
        if let Some((plan, _)) = plan {
            self.emit(&LimiterEvent::PlanUsedUp {
                key: &self.key,
                window,
                until: plan.until(),
            });
        }
    }

    /// The provider says what is left of its limits.
    pub(crate) fn lower_to(&self, levels: &Levels, now: Instant) {
        let mut state = self.advanced(now);
        let at = state.now;
        if let Some(level) = levels.requests {
            state.requests.lower_to(provider_level(level, at));
        }
        if let Some(level) = levels.tokens {
            state.tokens.lower_to(provider_level(level, at));
        }
    }
}

impl State {
    /// The provider throttled a call. Returns when the account opens again.
    pub(super) fn on_throttle(
        &mut self,
        charge: Charge,
        cause: Cause,
        retry_after: Option<Duration>,
        retry_within: Option<Duration>,
    ) -> Nanos {
        *self.throttled.entry(cause.as_str()).or_default() += 1;
        self.unexplained += u64::from(cause == Cause::TokenRate && self.has_room());
        let recurrence = self.breaker.recurrence();
        let window = self.quota.window_nanos();
        let is_news =
            self.breaker
                .on_throttle(charge.at, self.now, window, retry_after, retry_within);
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

fn provider_level(level: Level, now: Nanos) -> ProviderLevel {
    ProviderLevel {
        limit: level.limit,
        remaining: level.remaining,
        reset_at: now.saturating_add(nanos(level.reset.unwrap_or(Duration::ZERO))),
    }
}
