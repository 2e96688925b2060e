//! What an account learns from the provider's answers.

use std::{mem::replace, sync::Arc, time::Duration};

use tower_qwen_tokens::{
    Cause, PacedUntil, Verdict,
    internal::clock::{self, Instant, WallClock},
    protocol::{Level, Levels},
};

use super::{Account, Charge, Life, state::State};
#[cfg(feature = "redis")]
use crate::fleet::Used;
use crate::{
    adapt::{Held, News, PlanEnd, SlowStart, Throttled, ThrottledCall},
    gate::{Gate, ProviderLevel, Window},
    observe::LimiterEvent,
    queue::Wakes,
    units::{Fraction, Nanos, nanos},
};

/// A call that is throttled again comes back this part of the window after the account has opened.
// A second of a minute: most answers have begun by then.
const RETURNS_AFTER: u64 = 60;
/// While a window drains, the next probe waits for a part of it to leave, at most this part of the
/// window.
// Where little was sent a window ago, others may have sent more.
const LONGEST_DRAIN: u64 = 6;

impl Account {
    /// An answer cost `output` tokens.
    pub(crate) fn learn(&self, label: Option<&Arc<str>>, output: u64) {
        self.lock().output.learn(label, output);
    }

    /// The provider accepted a call. Returns who is to be woken.
    pub(crate) fn on_accept(&self, life: &Life) -> Wakes {
        let mut state = self.lock();
        if state.requests.goes_at_once() {
            // Of a whole window's calls that go at once, the last reach the provider late: it counts
            // them until late, and its answer says when it has.
            self.date_by_answer(&mut state, life);
        }
        let charge = life.charge();
        let is_opened = state.plan.on_accept(charge.at);
        if state.on_accept(charge) || is_opened {
            return state.queue.wake_head();
        }
        Wakes::default()
    }

    /// The provider throttled a call, or is not available. Returns until when that closes the account,
    /// and whether by an outage; `None` where it is this call's alone.
    pub(crate) fn on_throttle(
        &self,
        charge: Charge,
        verdict: &Verdict,
        now: Instant,
    ) -> Option<PacedUntil> {
        let cause = verdict.cause();
        let (until, is_outage, is_shared, unexplained) = self.change(now, |state| {
            let before = state.unexplained;
            let (hint, ceiling) = (verdict.retry_after(), verdict.retry_within());
            // Zero seconds say that the server does not know.
            let ceiling = ceiling.filter(|ceiling| !ceiling.is_zero());
            let until = state.on_throttle(charge, cause, hint, ceiling);
            let until = match hint {
                // The provider itself says when this call may come.
                Some(_) => until,
                None => until.map(|until| state.returns_at(charge, until)),
            };
            let is_outage = state.breaker.is_outage();
            let is_shared = state.breaker.is_by_quota() || is_outage && state.queue.len() > 0;
            (until, is_outage, is_shared, state.unexplained > before)
        });
        let until = until.map(|until| self.instant(until));
        // That a server is busy for one call is a throttle; that it fails is an error.
        if until.is_some() || cause != Cause::Unavailable {
            self.emit(&LimiterEvent::Throttled {
                key: &self.key,
                cause,
                closed_for: until.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)),
                unexplained,
            });
        }
        let until = until?;
        #[cfg(feature = "redis")]
        self.report_throttle(until);
        Some(PacedUntil::new(until).outage(is_outage).shared(is_shared))
    }

    #[cold]
    fn date_by_answer(&self, state: &mut State, life: &Life) {
        let mut charge = life.charge();
        // A store dates by the send, which is reported to it.
        if charge.is_numbered() {
            return;
        }
        state.advance(self.nanos(clock::now()));
        // What it says of the provider dates from its send all the same.
        let sent_at = charge.at;
        state.redate(&mut charge);
        charge.at = sent_at;
        life.set_date(charge);
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

    /// Goes on from what was learned before.
    pub(crate) fn believe(&self, requests: u64, tokens: u64, now: Instant) {
        self.change(now, |state| {
            let now = state.now;
            state.requests.believe(requests, now);
            state.tokens.believe(tokens, now);
        });
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
    /// The provider throttled a call, or is not available. Returns when the account opens again, where
    /// that closes it.
    pub(super) fn on_throttle(
        &mut self,
        charge: Charge,
        cause: Cause,
        retry_after: Option<Duration>,
        retry_within: Option<Duration>,
    ) -> Option<Nanos> {
        let throttled = Throttled::by(cause);
        let closes = throttled != Throttled::Capacity || self.breaker.on_unavailable(charge.at);
        if !closes && cause == Cause::Unavailable {
            return None;
        }
        *self.throttled.entry(cause.as_str()).or_default() += 1;
        if !closes {
            return None;
        }
        self.unexplained += u64::from(cause == Cause::TokenRate && self.has_room());
        let window = self.quota.window_nanos();
        let is_news =
            self.breaker
                .on_throttle(charge.at, self.now, window, retry_after, retry_within);
        if is_news && !self.breaker.is_repeated() {
            // A store may have closed the account before: of an outage, only its own closures count.
            self.requests.end_closures(false);
            self.tokens.end_closures(false);
        }
        // While the store is away and calls go without limits, no rate of ours is too high; calls
        // at one time are counted on.
        #[cfg(feature = "redis")]
        let is_news = is_news && (!self.is_unlimited() || throttled == Throttled::Concurrency);
        if is_news {
            self.news.on_throttle();
            self.learn_from(throttled, charge);
        }
        if is_news && retry_after.is_none() && self.breaker.is_draining() {
            self.breaker.close_until(self.drains_at());
        }
        self.close_gates();
        Some(self.breaker.opens_at())
    }

    /// When the provider's window has drained by enough for another probe.
    fn drains_at(&self) -> Nanos {
        let drains_at = |gate: &Gate| gate.drains_at(self.now);
        let longest = self.quota.window_nanos() / LONGEST_DRAIN;
        drains_at(&self.requests)
            .max(drains_at(&self.tokens))
            .min(self.now.saturating_add(longest))
    }

    /// When a throttled call is to come back to an account that opens at `opens_at`: one that is
    /// throttled again lets others go before it. They find out whether it is the call alone.
    fn returns_at(&mut self, charge: Charge, opens_at: Nanos) -> Nanos {
        let last = self.last_throttled.replace(charge.arrived);
        if last != Some(charge.arrived) || self.queue.len() == 0 {
            return opens_at;
        }
        opens_at.saturating_add(self.quota.window_nanos() / RETURNS_AFTER)
    }

    /// The provider accepted a call. Returns whether that lets others go.
    pub(super) fn on_accept(&mut self, charge: Charge) -> bool {
        let was_throttled = self.breaker.is_throttled();
        if self.requests.has_claim() || self.tokens.has_claim() {
            let (requests, tokens) = self.held(charge);
            self.requests.on_accept(requests, charge.at, self.now);
            self.tokens.on_accept(tokens, charge.at, self.now);
        }
        // An outage took nothing of the quota, and the calls that came meanwhile wait. While a window drains
        // our own counts what the provider's does, and alone says what may go.
        let is_saved = self.breaker.is_outage() || self.breaker.is_draining();
        let opens = self.breaker.on_accept(charge.at);
        if opens {
            let at = self.now.max(self.breaker.opens_at());
            self.requests.open_at(at);
            self.tokens.open_at(at);
        }
        if was_throttled && !self.breaker.is_throttled() {
            self.requests.end_closures(is_saved);
            self.tokens.end_closures(is_saved);
            self.requests.end_draining(self.now);
            self.tokens.end_draining(self.now);
        }
        opens
    }

    /// What is news of the quota.
    #[inline]
    pub(super) fn quota_news(&mut self) -> Option<News> {
        let believed = (self.requests.believed(), self.tokens.believed());
        let is_full = self.requests.is_nearly_full() || self.tokens.is_nearly_full();
        let (is_start, window) = (self.quota.is_start(), self.quota.window_nanos());
        self.news.of(believed, is_full, is_start, self.now, window)
    }

    /// What flows in while the account is closed goes to nobody, unless the throttles turn out to be an
    /// outage or a window that drains.
    pub(super) fn close_gates(&mut self) {
        let until = self.breaker.opens_at();
        self.requests.close_until(until);
        self.tokens.close_until(until);
    }

    fn throttled_call(&self, charge: Charge) -> ThrottledCall {
        ThrottledCall {
            arrived: charge.arrived,
            streak: self.breaker.streaks(),
            has_other_fallen: self.requests.has_fallen() || self.tokens.has_fallen(),
        }
    }

    /// What was accepted within the window when this call was throttled.
    fn held(&self, charge: Charge) -> (Held, Held) {
        let (requests, tokens) = charge.before;
        let requests = requests.saturating_sub(self.throttled_requests());
        #[cfg(feature = "redis")]
        let Used { requests, tokens } = self.used_by_all(Used { requests, tokens });
        (
            self.requests.held(requests, 1),
            self.tokens.held(tokens, charge.total()),
        )
    }

    /// Requests of the window that the provider throttled.
    pub(super) fn throttled_requests(&self) -> u64 {
        self.throttled_requests.as_ref().map_or(0, Window::sum)
    }

    /// Whether a fifth of the tokens that may be used is left, by our own count.
    fn has_room(&self) -> bool {
        let used = self.tokens.snapshot().used.max(self.tokens_at_end.sum());
        used <= self.tokens.allowed() / 5 * 4
    }

    /// A throttle says something new of how much may be sent.
    fn learn_from(&mut self, throttled: Throttled, charge: Charge) {
        match throttled {
            Throttled::Capacity => {}
            Throttled::Concurrency => self.concurrency.on_throttle(),
            Throttled::Growth if self.breaker.slows() => {
                self.pace_evenly();
                // Calls of the old rate are under way: it goes on from half of that, not from the
                // least rate.
                if self.slow_start.is_none() {
                    self.start_slowly(Some(Fraction::WHOLE));
                }
                if let Some(slow_start) = &mut self.slow_start {
                    slow_start.cut();
                }
                self.follow_slow_start();
                // Slow start finds out; calls one by one would be the next growth to be punished.
                self.breaker.skip_probing();
            }
            Throttled::Growth => {}
            _ => self.measure(throttled, charge),
        }
    }

    /// What the window held when a call was throttled is the provider's limit.
    fn measure(&mut self, throttled: Throttled, charge: Charge) {
        let (requests, tokens) = self.held(charge);
        // One that names no dimension speaks of the one that is nearer to its limit.
        let throttled = match throttled {
            Throttled::Both if requests.fill() > tokens.fill() => Throttled::Requests,
            Throttled::Both if requests.fill() < tokens.fill() => Throttled::Tokens,
            named => named,
        };
        if self.breaker.is_repeated() {
            let call = self.throttled_call(charge);
            if throttled.concerns_requests() {
                self.requests.on_draining(requests, call);
            }
            if throttled.concerns_tokens() {
                self.tokens.on_draining(tokens, call);
            }
            return;
        }
        let is_explained = throttled.concerns_requests() && requests.is_full()
            || throttled.concerns_tokens() && tokens.is_full();
        // The host counts seconds too, so nothing is known of its window yet.
        if !is_explained && self.pace_evenly() {
            return;
        }
        let call = self.throttled_call(charge);
        let mut is_known = true;
        if throttled.concerns_requests() {
            is_known &= self.requests.on_throttle(requests, call, self.now);
        }
        if throttled.concerns_tokens() {
            is_known &= self.tokens.on_throttle(tokens, call, self.now);
        }
        if is_known {
            self.breaker.on_limit_shown();
        }
    }

    /// The quota is spread evenly from now on. Returns whether it was not before.
    fn pace_evenly(&mut self) -> bool {
        self.requests.pace_evenly(self.now) | self.tokens.pace_evenly(self.now)
    }

    /// Begins slow start, at this share of the rate or at the least one.
    pub(super) fn start_slowly(&mut self, share: Option<Fraction>) {
        let slow_start = SlowStart::new(self.requests.own(), self.quota.window_nanos(), self.now);
        self.slow_start = Some(match share {
            Some(share) => slow_start.at(share),
            None => slow_start,
        });
        self.follow_slow_start();
    }

    pub(super) fn follow_slow_start(&mut self) {
        if let Some(slow_start) = &self.slow_start {
            self.requests.set_slow_start(slow_start.share());
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
