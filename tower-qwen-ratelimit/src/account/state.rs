use std::{collections::BTreeMap, sync::Arc, time::UNIX_EPOCH};

use tower_qwen_tokens::internal::clock::WallClock;

use super::Charge;
#[cfg(feature = "redis")]
use super::grants::{GrantedBy, Grants};
use crate::{
    adapt::{Breaker, OutputEstimate, Plan, QuotaNews, SlowStart},
    cost::{Cost, OutputLimit},
    gate::{Amounts, Concurrency, Day, Gate, Limits, SlotNumber, Window},
    queue::{Ahead, Served, WaitQueue},
    quota::Quota,
    units::Nanos,
};

/// Until answers are known, an answer is expected to bring at most this part of a window.
// A sixteenth: one call with a ceiling of a million closed a new account for everybody. Too little is
// a debt that later calls wait for.
const UNKNOWN_OUTPUT: u64 = 16;

/// What an account's lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) quota: Quota,
    pub(super) requests: Gate,
    pub(super) tokens: Gate,
    /// Tokens again, as a provider dates them that counts answers when they end.
    pub(super) tokens_at_end: Window,
    pub(super) tokens_of_day: Day,
    pub(super) limits: Limits,
    pub(super) concurrency: Concurrency,
    /// Slow start, where the quota asks for it or the provider has punished growth.
    pub(super) slow_start: Option<SlowStart>,
    pub(super) breaker: Breaker,
    /// The arrival of the call that was throttled last.
    pub(super) last_throttled: Option<Nanos>,
    /// Requests of the window that the provider throttled, once there were any.
    pub(super) throttled_requests: Option<Window>,
    pub(super) news: QuotaNews,
    pub(super) plan: Plan,
    pub(super) queue: WaitQueue,
    pub(super) output: OutputEstimate,
    pub(super) now: Nanos,
    /// When the window was last given another length.
    window_set_at: Option<Nanos>,
    pub(super) in_flight: u64,
    pub(super) reserved_tokens: u64,
    pub(super) settled_tokens: u64,
    pub(super) admitted: u64,
    pub(super) throttled: BTreeMap<&'static str, u64>,
    /// Throttles of tokens where our own count left room.
    pub(super) unexplained: u64,
    /// Whether a wait beyond belief was reported: once is enough.
    pub(super) has_reported_absurd_wait: bool,
    #[cfg(feature = "redis")]
    pub(super) grants: Grants,
}

impl State {
    pub(super) fn new(quota: Quota, queue: WaitQueue, plan: Plan, now: Nanos) -> Self {
        let window = quota.window_nanos();
        let mut tokens_at_end = Window::new(window);
        tokens_at_end.advance(now);
        let mut state = Self {
            requests: Gate::new(&quota, quota.requests(), now),
            tokens: Gate::new(&quota, quota.tokens(), now),
            tokens_at_end,
            tokens_of_day: Day::new(quota.most_of_a_day(), elapsed_of_day(&quota, now), now),
            limits: Limits::new(quota.limits(), WallClock::new().now(), now),
            concurrency: Concurrency::new(quota.most_running(), window, now),
            slow_start: None,
            breaker: Breaker::default(),
            last_throttled: None,
            throttled_requests: None,
            news: QuotaNews::default(),
            plan,
            queue,
            output: OutputEstimate::default(),
            now,
            window_set_at: None,
            in_flight: 0,
            reserved_tokens: 0,
            settled_tokens: 0,
            admitted: 0,
            throttled: BTreeMap::new(),
            unexplained: 0,
            has_reported_absurd_wait: false,
            #[cfg(feature = "redis")]
            grants: Grants::new(GrantedBy::Own, 0),
            quota,
        };
        if quota.starts_slowly() {
            state.start_slowly(None);
        }
        state
    }

    /// Goes on under another quota. What was charged within the window stays charged; debt is forgiven.
    pub(super) fn set_quota(&mut self, quota: Quota) {
        let (before, now) = (self.quota, self.now);
        self.requests
            .set_quota(&before, &quota, quota.requests(), now);
        self.tokens.set_quota(&before, &quota, quota.tokens(), now);
        if quota.window_nanos() != before.window_nanos() {
            self.set_window(quota.window_nanos());
        }
        self.limits
            .set(quota.limits(), WallClock::new().now(), self.now);
        self.tokens_of_day.set_limit(self.own_tokens_of_day(&quota));
        let slots = quota.most_running();
        #[cfg(feature = "redis")]
        let slots = self.own_slots(slots);
        self.concurrency.set_limit(slots);
        self.quota = quota;
        if quota.starts_slowly() || self.slow_start.is_some() {
            self.start_slowly(self.slow_start.as_ref().map(SlowStart::share));
        }
    }

    /// The window has another length from now on.
    #[cold]
    fn set_window(&mut self, length: u64) {
        self.tokens_at_end.set_length(length, self.now);
        if let Some(throttled) = &mut self.throttled_requests {
            throttled.set_length(length, self.now);
        }
        self.window_set_at = Some(self.now);
    }

    /// The slot of a charge, which may have been made when the window had another length.
    #[inline]
    pub(super) fn slot_of(&self, charge: &Charge) -> SlotNumber {
        match self.window_set_at {
            Some(at) if charge.at <= at => self.tokens_at_end.slot_of(charge.at),
            _ => charge.slot,
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        let is_awaited = self.queue.len() > 0;
        if is_awaited {
            self.queue.advance(self.now);
        }
        self.requests.advance(self.now, is_awaited);
        self.tokens.advance(self.now, is_awaited);
        self.tokens_at_end.advance(self.now);
        if let Some(throttled) = &mut self.throttled_requests {
            throttled.advance(self.now);
        }
        self.tokens_of_day.advance(self.now);
        self.limits.advance(self.now);
        self.concurrency.advance(self.now);
        if self.plan.advance(self.now) {
            self.breaker.begin_probing();
        }
        if let Some(slow_start) = &mut self.slow_start
            && slow_start.advance(self.now, self.requests.own())
        {
            self.follow_slow_start();
        }
    }

    /// The charge that a call of this cost would get now.
    #[inline]
    pub(super) fn estimate(&self, cost: Cost, label: Option<&Arc<str>>) -> Charge {
        let ceiling = match cost.output {
            OutputLimit::NoOutput => Some(0),
            OutputLimit::AtMost(ceiling) => Some(ceiling),
            OutputLimit::Unlimited => None,
        };
        let output = match ceiling {
            Some(ceiling) if self.quota.holds_ceiling() => ceiling,
            _ => self
                .expected_output(label, ceiling)
                // A ceiling alone never makes a call too large for the window.
                .min(self.most_output(cost.input_tokens)),
        };
        Charge {
            input: cost.input_tokens,
            output,
            slot: 0,
            day: 0,
            at: self.now,
            arrived: self.now,
            before: (0, 0),
            dated_until: 0,
            is_timed: false,
            is_probe: false,
            #[cfg(feature = "redis")]
            id: 0,
            served: Served::default(),
        }
    }

    /// What an answer is expected to bring.
    #[inline]
    pub(super) fn expected_output(&self, label: Option<&Arc<str>>, ceiling: Option<u64>) -> u64 {
        let unknown = self.tokens.usable() / UNKNOWN_OUTPUT;
        self.output.expected(label, ceiling, unknown)
    }

    /// The most tokens that one call may cost.
    fn most_of_a_call(&self) -> u64 {
        self.tokens.usable().min(self.quota.most_of_a_day())
    }

    /// The most tokens that an answer may bring behind a prompt of `input`.
    fn most_output(&self, input: u64) -> u64 {
        let of_a_call = self.most_of_a_call().saturating_sub(input);
        of_a_call.min(self.limits.most_output(input))
    }

    pub(super) fn fits_a_window(&self, estimate: Charge) -> bool {
        // A limit that is not known rejects nothing.
        let fits = self.quota.is_start() || self.tokens.usable() >= estimate.total();
        self.requests.usable() >= 1
            && fits
            && self.quota.most_of_a_day() >= estimate.total()
            && self.limits.fit(estimate.amounts())
    }

    #[inline(always)]
    pub(super) fn ready_at(&self, estimate: Charge) -> Nanos {
        let tokens = self.tokens.ready_at(self.now, estimate.total());
        // As in the gates: a prompt above what is allowed at present goes alone instead of never.
        let quota = self.tokens.allowed().max(estimate.input);
        self.requests
            .ready_at(self.now, 1)
            .max(tokens)
            .max(self.tokens_at_end.ready_at(self.now, estimate.input, quota))
            .max(self.tokens_of_day.ready_at(self.now, estimate.total()))
            .max(self.limits.ready_at(self.now, estimate.amounts()))
            .max(self.concurrency.ready_at(self.now))
            .max(self.breaker.opens_at())
    }

    /// When a newcomer behind all this will go, by the account's own gates and today's rate.
    pub(super) fn predicted(&self, ahead: Ahead, estimate: Charge) -> Nanos {
        let Ahead { requests, tokens } = ahead;
        let (now, cost) = (self.now, estimate.total());
        self.requests
            .predicted(now, requests, 1)
            .max(self.tokens.predicted(now, tokens, cost))
            .max(self.tokens_of_day.predicted(now, tokens, cost))
            .max(self.limits.predicted(now, ahead, estimate.amounts()))
            .max(self.concurrency.predicted(now, requests))
            .max(self.breaker.opens_at())
    }

    // Always, as what admits a call (`arrive`).
    #[inline(always)]
    pub(super) fn charge(&mut self, estimate: Charge) -> Charge {
        let before = (self.requests.used(), self.tokens.used());
        self.requests.take(1);
        let slot = self.tokens.take(estimate.total());
        self.tokens_at_end.charge(estimate.input);
        let day = self.tokens_of_day.charge(estimate.total());
        self.limits.charge(estimate.amounts());
        let is_timed = self.concurrency.start();
        if let Some(slow_start) = &mut self.slow_start {
            slow_start.on_admit();
        }
        if self.breaker.on_send(self.now, self.quota.window_nanos()) {
            self.close_gates();
        }
        let is_probe = self.plan.on_send(self.now);
        self.in_flight += 1;
        self.admitted += 1;
        self.reserved_tokens = self.reserved_tokens.saturating_add(estimate.total());
        #[cfg(feature = "redis")]
        self.grants.on_charge(estimate.total());
        Charge {
            slot,
            day,
            at: self.now,
            before,
            dated_until: self.dated_until(),
            is_timed,
            is_probe,
            ..estimate
        }
    }

    /// When a charge of now would no longer be dated as now.
    fn dated_until(&self) -> Nanos {
        self.tokens
            .slot_ends()
            .min(self.tokens_of_day.ends())
            .min(self.limits.dated_until())
    }

    /// Moves a charge to now: the call goes out later than it was admitted.
    pub(super) fn redate(&mut self, charge: &mut Charge) {
        let before = self.slot_of(charge);
        if before != self.tokens.slot() {
            self.requests.redate(before, 1);
            let slot = self.tokens.redate(before, charge.total());
            self.tokens_at_end.refund(before, charge.input);
            self.tokens_at_end.charge(charge.input);
            charge.slot = slot;
        }
        self.tokens_of_day.correct(charge.day, charge.total(), 0);
        charge.day = self.tokens_of_day.charge(charge.total());
        charge.at = self.now;
        charge.dated_until = self.dated_until();
    }

    /// The same in the further limits, which know a charge by its instant alone: before that changes.
    pub(super) fn redate_limits(&mut self, charge: &Charge) {
        let amounts = charge.amounts();
        self.limits.correct(charge.at, amounts, Amounts::NOTHING);
        self.limits.charge(amounts);
    }

    /// What a call of so many tokens costs its flow: one without any costs what a request is worth.
    pub(super) fn price(&self, tokens: u64) -> u64 {
        match tokens {
            0 => (self.quota.tokens() / self.quota.requests().max(1)).max(1),
            _ => tokens,
        }
    }

    /// The call's answer has ended.
    pub(super) fn end(&mut self, charge: Charge) {
        if charge.is_timed {
            self.concurrency.end(self.now.saturating_sub(charge.at));
        }
    }

    /// The tokens of a day that this process may use.
    pub(super) fn own_tokens_of_day(&self, quota: &Quota) -> u64 {
        #[cfg(feature = "redis")]
        if quota.most_of_a_day() != u64::MAX {
            return self.grants.part.of(quota.most_of_a_day());
        }
        quota.most_of_a_day()
    }
}

/// How much of the provider's day had elapsed at the account's epoch. Unit: nanoseconds.
fn elapsed_of_day(quota: &Quota, now: Nanos) -> u64 {
    const DAY: u128 = 86_400 * 1_000_000_000;
    if quota.most_of_a_day() == u64::MAX {
        return 0;
    }
    let wall = WallClock::new().now();
    let elapsed = wall
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let before = (u128::from(now) + quota.day_begins_after().as_nanos()) % DAY;
    u64::try_from((elapsed % DAY + DAY - before) % DAY).unwrap_or_default()
}
