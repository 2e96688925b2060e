use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tower_qwen_tokens::{Cause, internal::clock::WallClock};

use crate::{
    adapt::Expect,
    adapt::Ramp,
    adapt::{Blame, FULL, Pause},
    cost::{Cost, OutputLimit},
    gate::{Day, Gate, Nanos, Running, Stated, Window},
    queue::{Queue, Served, Wakes},
    quota::Quota,
};

use super::{
    charge::{Charge, Outcome},
    grants::{Fleet, Turns},
};

/// The longest pause that one answer of the provider can impose on an account.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// What an account's lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) quota: Quota,
    pub(super) requests: Gate,
    pub(super) tokens: Gate,
    /// Tokens again, as a provider dates them that counts answers when they end.
    pub(super) tokens_at_end: Window,
    pub(super) tokens_of_day: Day,
    pub(super) running: Running,
    /// Slow start, where the quota asks for it or the provider has punished growth.
    pub(super) ramp: Option<Ramp>,
    pub(super) pause: Pause,
    pub(super) queue: Queue,
    pub(super) expect: Expect,
    pub(super) now: Nanos,
    pub(super) in_flight: u64,
    pub(super) reserved_tokens: u64,
    pub(super) settled_tokens: u64,
    pub(super) admitted: u64,
    pub(super) throttled: BTreeMap<&'static str, u64>,
    /// Throttles of tokens where our own count left room.
    pub(super) unexplained: u64,
    /// Who says when the head may go.
    pub(super) turns: Turns,
    pub(super) fleet: Fleet,
}

impl State {
    pub(super) fn new(quota: Quota, queue: Queue, now: Nanos) -> Self {
        let window = quota.window_nanos();
        let mut tokens_at_end = Window::new(window);
        tokens_at_end.advance(now);
        let mut state = Self {
            requests: Gate::new(&quota, quota.requests(), now),
            tokens: Gate::new(&quota, quota.tokens(), now),
            tokens_at_end,
            tokens_of_day: Day::new(quota.most_of_a_day(), passed_of_the_day(&quota, now), now),
            running: Running::new(quota.most_running(), window, now),
            ramp: None,
            pause: Pause::default(),
            queue,
            expect: Expect::default(),
            now,
            in_flight: 0,
            reserved_tokens: 0,
            settled_tokens: 0,
            admitted: 0,
            throttled: BTreeMap::new(),
            unexplained: 0,
            turns: Turns::Own,
            fleet: Fleet::default(),
            quota,
        };
        if quota.starts_slowly() {
            state.start_slowly(None);
        }
        state
    }

    /// Goes on under another quota of the same window. What was charged stays charged.
    pub(super) fn set_quota(&mut self, quota: Quota, is_shared: bool) {
        self.requests.set_quota(&quota, quota.requests());
        self.tokens.set_quota(&quota, quota.tokens());
        self.tokens_of_day
            .set_limit(part_of_day(&quota, self.fleet.part));
        match is_shared {
            true => self.set_slots(self.quota.most_running(), quota.most_running()),
            false => self.running.set_limit(quota.most_running()),
        }
        self.quota = quota;
        if quota.starts_slowly() || self.ramp.is_some() {
            let share = self.ramp.as_ref().map(Ramp::share);
            self.start_slowly(share);
        }
    }

    pub(super) fn start_slowly(&mut self, share: Option<u32>) {
        let ramp = Ramp::new(
            self.requests.own(),
            self.tokens.own(),
            self.quota.window_nanos(),
            self.now,
        );
        self.ramp = Some(match share {
            Some(share) => ramp.at(share),
            None => ramp,
        });
        self.follow_ramp();
    }

    fn follow_ramp(&mut self) {
        if let Some(ramp) = &self.ramp {
            self.requests.set_ramp(ramp.share());
            self.tokens.set_ramp(ramp.share());
        }
    }

    #[inline]
    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.requests.advance(self.now);
        self.tokens.advance(self.now);
        self.tokens_at_end.advance(self.now);
        self.tokens_of_day.advance(self.now);
        self.running.advance(self.now);
        if self
            .ramp
            .as_mut()
            .is_some_and(|ramp| ramp.advance(self.now))
        {
            self.follow_ramp();
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
                .expect
                .output(label, ceiling)
                .min(self.most_of_a_call().saturating_sub(cost.input_tokens)),
        };
        Charge {
            input: cost.input_tokens,
            output,
            slot: 0,
            day: 0,
            at: self.now,
            dated_until: 0,
            is_timed: false,
            id: 0,
            served: Served::default(),
        }
    }

    /// The most tokens that one call may cost.
    fn most_of_a_call(&self) -> u64 {
        self.tokens.usable().min(self.quota.most_of_a_day())
    }

    pub(super) fn fits_a_window(&self, estimate: Charge) -> bool {
        self.requests.usable() >= 1 && self.most_of_a_call() >= estimate.total()
    }

    #[inline]
    pub(super) fn ready_at(&self, estimate: Charge) -> Nanos {
        let tokens = self.tokens.ready_at(self.now, estimate.total());
        let quota = self.tokens.allowed().max(estimate.input);
        self.requests
            .ready_at(self.now, 1)
            .max(tokens)
            .max(self.tokens_at_end.ready_at(self.now, estimate.input, quota))
            .max(self.tokens_of_day.ready_at(self.now, estimate.total()))
            .max(self.running.ready_at(self.now))
            .max(self.pause.until())
    }

    /// When a newcomer's turn will come, as far as the queue ahead and today's rate tell.
    pub(super) fn predicted(&self, requests: u64, tokens: u64, estimate: Charge) -> Nanos {
        let (now, cost) = (self.now, estimate.total());
        self.requests
            .predicted(now, requests, 1)
            .max(self.tokens.predicted(now, tokens, cost))
            .max(self.tokens_of_day.predicted(now, tokens, cost))
            .max(self.running.predicted(now, requests))
            .max(self.pause.until())
    }

    #[inline]
    pub(super) fn charge(&mut self, estimate: Charge) -> Charge {
        self.requests.take(1);
        let slot = self.tokens.take(estimate.total());
        self.tokens_at_end.charge(estimate.input);
        let day = self.tokens_of_day.charge(estimate.total());
        let is_timed = self.running.start();
        if let Some(ramp) = &mut self.ramp {
            ramp.take(estimate.total());
        }
        self.pause.sent(self.now, self.quota.window_nanos());
        self.in_flight += 1;
        self.admitted += 1;
        self.reserved_tokens = self.reserved_tokens.saturating_add(estimate.total());
        self.fleet.largest = self.fleet.largest.max(estimate.total());
        Charge {
            slot,
            day,
            at: self.now,
            dated_until: self.dated_until(),
            is_timed,
            ..estimate
        }
    }

    /// When a charge of now would no longer be dated as now.
    fn dated_until(&self) -> Nanos {
        self.tokens.slot_ends().min(self.tokens_of_day.ends())
    }

    pub(super) fn redate(&mut self, charge: &mut Charge) {
        if charge.slot != self.tokens.slot() {
            self.requests.redate(charge.slot, 1);
            let slot = self.tokens.redate(charge.slot, charge.total());
            self.tokens_at_end.refund(charge.slot, charge.input);
            self.tokens_at_end.charge(charge.input);
            charge.slot = slot;
        }
        self.tokens_of_day.correct(charge.day, charge.total(), 0);
        charge.day = self.tokens_of_day.charge(charge.total());
        charge.at = self.now;
        charge.dated_until = self.dated_until();
    }

    #[inline]
    pub(super) fn settle(&mut self, charge: Charge, outcome: Outcome) {
        self.in_flight -= 1;
        if !charge.is_timed {
            self.running.settle();
        }
        self.reserved_tokens = self.reserved_tokens.saturating_sub(charge.total());
        let (input, output) = match outcome {
            Outcome::Known { input, output } => (input, output),
            Outcome::EstimateStands => (charge.input, charge.output),
            Outcome::PromptOnly => (charge.input, 0),
            Outcome::Refused => (0, 0),
            Outcome::NeverSent => {
                self.requests.correct(charge.slot, 1, 0);
                (0, 0)
            }
        };
        let total = input.saturating_add(output);
        self.tokens.correct(charge.slot, charge.total(), total);
        self.tokens_at_end.correct(charge.slot, charge.input, input);
        self.tokens_at_end.charge(output);
        self.tokens_of_day
            .correct(charge.day, charge.total(), total);
        self.settled_tokens = self.settled_tokens.saturating_add(total);
    }

    /// Settles with the queue too; says how many tokens the call cost.
    #[inline]
    pub(super) fn book(&mut self, charge: Charge, outcome: Outcome) -> (u64, Wakes) {
        let before = self.settled_tokens;
        self.settle(charge, outcome);
        let tokens = self.settled_tokens.saturating_sub(before);
        let actual = match outcome {
            Outcome::NeverSent => 0,
            _ if tokens == 0 => self.price(0).min(self.price(charge.total())),
            _ => tokens,
        };
        (tokens, self.queue.settle(charge.served, actual))
    }

    /// What a call of so many tokens counts in a fair queue: one without any, what a request is worth.
    pub(super) fn price(&self, tokens: u64) -> u64 {
        match tokens {
            0 => (self.quota.tokens() / self.quota.requests().max(1)).max(1),
            _ => tokens,
        }
    }

    pub(super) fn throttled(
        &mut self,
        charge: Charge,
        cause: Cause,
        retry_after: Option<Duration>,
    ) -> Nanos {
        *self.throttled.entry(cause.as_str()).or_default() += 1;
        let again = self.pause.is_unbroken();
        self.unexplained += u64::from(cause == Cause::TokenRate && self.has_room());
        let (window, hinted) = (self.quota.window_nanos(), retry_after.is_some());
        let news = self.pause.throttled(charge.at, self.now, window, hinted);
        let blame = Blame::of(cause);
        // While the store is away and calls go as they come, a rate that is not in force is not to blame.
        let is_in_force = self.turns != Turns::Open || blame == Blame::Concurrency;
        if news && is_in_force && self.pause.slows(blame) {
            self.blame(blame, again);
        }
        if let Some(hint) = retry_after {
            let pause = u64::try_from(hint.min(MAX_PAUSE).as_nanos()).unwrap_or(u64::MAX);
            self.pause.extend(self.now.saturating_add(pause));
        }
        self.pause.until()
    }

    /// Whether a fifth of the tokens that may be used is left, by our own count.
    fn has_room(&self) -> bool {
        let used = self.tokens.snapshot().used.max(self.tokens_at_end.sum());
        used <= self.tokens.allowed() / 5 * 4
    }

    fn blame(&mut self, blame: Blame, again: bool) {
        match blame {
            Blame::Growth => {
                if self.ramp.is_none() {
                    self.start_slowly(Some(FULL));
                }
                if let Some(ramp) = &mut self.ramp {
                    ramp.cut();
                }
                self.follow_ramp();
            }
            Blame::Concurrency => self.running.slow(),
            _ => {}
        }
        if blame.requests() {
            self.requests.slow(again);
        }
        if blame.tokens() {
            self.tokens.slow(again);
        }
    }

    /// A call runs no more.
    pub(super) fn ended(&mut self, charge: Charge) {
        if charge.is_timed {
            self.running.end(self.now.saturating_sub(charge.at));
        }
    }

    /// The provider says what is left of its limits.
    pub(super) fn told(&mut self, requests: Option<Stated>, tokens: Option<Stated>) {
        if let Some(stated) = requests {
            self.requests.told(stated);
        }
        if let Some(stated) = tokens {
            self.tokens.told(stated);
        }
    }
}

/// What a process may use of the tokens of a day.
pub(super) fn part_of_day(quota: &Quota, part: u32) -> u64 {
    match quota.most_of_a_day() {
        u64::MAX => u64::MAX,
        most => {
            let part = u128::from(most) * u128::from(part) / u128::from(FULL);
            u64::try_from(part).unwrap_or(most)
        }
    }
}

/// How much of the provider's day had passed at the account's epoch. Unit: nanoseconds.
fn passed_of_the_day(quota: &Quota, now: Nanos) -> u64 {
    const DAY: u128 = 86_400 * 1_000_000_000;
    if quota.most_of_a_day() == u64::MAX {
        return 0;
    }
    let wall = WallClock::new().now();
    let passed = wall
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let before = (u128::from(now) + quota.day_begins_after().as_nanos()) % DAY;
    u64::try_from((passed % DAY + DAY - before) % DAY).unwrap_or_default()
}
