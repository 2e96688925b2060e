use std::{collections::BTreeMap, time::Duration};

use tower_qwen_tokens::Cause;

use crate::{
    cost::{Cost, Output},
    expect::Expect,
    feedback::{Blame, Pause},
    gate::{Gate, Nanos, Slot, Window},
    queue::Queue,
    quota::Quota,
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
    pub(super) pause: Pause,
    pub(super) queue: Queue,
    pub(super) expect: Expect,
    pub(super) now: Nanos,
    pub(super) in_flight: u64,
    pub(super) reserved_tokens: u64,
    pub(super) settled_tokens: u64,
    pub(super) admitted: u64,
    pub(super) throttled: BTreeMap<&'static str, u64>,
}

/// What one admitted call has been charged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) slot: Slot,
    pub(crate) at: Nanos,
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The true cost is known.
    Known { input: u64, output: u64 },
    /// Nothing more will be known: the estimate stands.
    EstimateStands,
    /// The provider refused the call: its tokens come back, the request counts.
    Refused,
    /// The call failed after the provider took it: the prompt counts, the answer comes back.
    PromptOnly,
    /// The call was never sent.
    NeverSent,
}

impl State {
    pub(super) fn new(quota: Quota, now: Nanos) -> Self {
        let window = quota.window_nanos();
        let mut tokens_at_end = Window::new(window);
        tokens_at_end.advance(now);
        Self {
            requests: Gate::new(&quota, quota.requests(), now),
            tokens: Gate::new(&quota, quota.tokens(), now),
            tokens_at_end,
            pause: Pause::default(),
            queue: Queue::default(),
            expect: Expect::new(),
            now,
            in_flight: 0,
            reserved_tokens: 0,
            settled_tokens: 0,
            admitted: 0,
            throttled: BTreeMap::new(),
            quota,
        }
    }

    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = self.now.max(now);
        self.requests.advance(self.now);
        self.tokens.advance(self.now);
        self.tokens_at_end.advance(self.now);
    }

    /// The charge that a call of this cost would get now.
    pub(super) fn estimate(&self, cost: Cost) -> Charge {
        let output = match (cost.output, self.quota.holds_ceiling()) {
            (Output::Nothing, _) => 0,
            (Output::AtMost(ceiling), true) => ceiling,
            (Output::AtMost(ceiling), false) => self
                .expect
                .output(Some(ceiling))
                .min(self.tokens.usable().saturating_sub(cost.input_tokens)),
            (Output::Unbounded, _) => self
                .expect
                .output(None)
                .min(self.tokens.usable().saturating_sub(cost.input_tokens)),
        };
        Charge {
            input: cost.input_tokens,
            output,
            slot: 0,
            at: self.now,
        }
    }

    pub(super) fn fits_a_window(&self, estimate: Charge) -> bool {
        self.requests.usable() >= 1 && self.tokens.usable() >= estimate.total()
    }

    pub(super) fn ready_at(&self, estimate: Charge) -> Nanos {
        let tokens = self.tokens.ready_at(self.now, estimate.total());
        let quota = self.tokens.allowed().max(estimate.input);
        self.requests
            .ready_at(self.now, 1)
            .max(tokens)
            .max(self.tokens_at_end.ready_at(self.now, estimate.input, quota))
            .max(self.pause.until())
    }

    /// When a newcomer's turn will come, as far as the queue ahead and today's rate tell.
    pub(super) fn predicted(&self, requests: u64, tokens: u64, estimate: Charge) -> Nanos {
        let requests = self.requests.predicted(self.now, requests, 1);
        let tokens = self.tokens.predicted(self.now, tokens, estimate.total());
        requests.max(tokens).max(self.pause.until())
    }

    pub(super) fn charge(&mut self, estimate: Charge) -> Charge {
        self.requests.take(1);
        let slot = self.tokens.take(estimate.total());
        self.tokens_at_end.charge(estimate.input);
        self.in_flight += 1;
        self.admitted += 1;
        self.reserved_tokens = self.reserved_tokens.saturating_add(estimate.total());
        Charge {
            slot,
            at: self.now,
            ..estimate
        }
    }

    pub(super) fn redate(&mut self, charge: &mut Charge) {
        self.requests.redate(charge.slot, 1);
        let slot = self.tokens.redate(charge.slot, charge.total());
        self.tokens_at_end.refund(charge.slot, charge.input);
        self.tokens_at_end.charge(charge.input);
        charge.slot = slot;
        charge.at = self.now;
    }

    pub(super) fn settle(&mut self, charge: Charge, outcome: Outcome) {
        self.in_flight -= 1;
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
        self.settled_tokens = self.settled_tokens.saturating_add(total);
    }

    pub(super) fn throttled(
        &mut self,
        charge: Charge,
        cause: Cause,
        retry_after: Option<Duration>,
    ) -> Nanos {
        *self.throttled.entry(cause.as_str()).or_default() += 1;
        let news = self
            .pause
            .throttled(charge.at, self.now, self.quota.window_nanos());
        if news {
            let blame = Blame::of(cause);
            if blame.requests() {
                self.requests.slow();
            }
            if blame.tokens() {
                self.tokens.slow();
            }
        }
        if let Some(hint) = retry_after {
            let pause = u64::try_from(hint.min(MAX_PAUSE).as_nanos()).unwrap_or(u64::MAX);
            self.pause.extend(self.now.saturating_add(pause));
        }
        self.pause.until()
    }
}

impl Charge {
    pub(crate) fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
