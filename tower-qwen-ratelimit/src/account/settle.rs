//! What becomes of an admitted call: it is sent, settled, and ends.

use std::sync::MutexGuard;

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{Account, Charge, Life, Outcome, Phase, state::State};
use crate::{
    adapt::News,
    gate::{Amounts, Window},
    observe::LimiterEvent,
    queue::Wakes,
    units::Nanos,
};

impl Account {
    /// Dates a charge anew: the call goes out now and not, as was assumed, when it was admitted.
    pub(crate) fn send(&self, life: &Life, now: Instant) {
        let at = self.nanos(now);
        match at < life.dated_until() {
            true => life.set_sent_at(at),
            false => self.redate(life, at),
        }
    }

    #[cold]
    fn redate(&self, life: &Life, now: Nanos) {
        let mut state = self.advanced_to(now);
        // It may have been settled since.
        if life.phase() != Phase::Sent {
            return;
        }
        let mut charge = life.charge();
        state.redate_limits(&charge);
        state.redate(&mut charge);
        life.set_date(charge);
        drop(state);
        #[cfg(feature = "redis")]
        self.report_send(charge);
    }

    /// Settles a charge. The first time counts.
    #[inline]
    pub(crate) fn settle(&self, life: &Life, outcome: Outcome, now: Instant) {
        let state = self.advanced(now);
        if life.begin_settlement() {
            self.settle_locked(state, life.charge(), outcome);
        }
    }

    /// Settles a charge whose call has ended. Called once per charge.
    pub(crate) fn settle_ended(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let mut state = self.advanced(now);
        // Also the end wakes the head, which the settlement does.
        state.end(charge);
        self.settle_locked(state, charge, outcome);
    }

    /// The body of a settled call's answer has ended.
    pub(crate) fn end(&self, charge: Charge) {
        if charge.is_timed {
            self.change(clock::now(), |state| state.end(charge));
        }
    }

    // Not by way of `change`, and inlined: each copy of a charge, or of what a settlement returns, is a hundredth of a call.
    #[inline(always)]
    fn settle_locked(&self, mut state: MutexGuard<'_, State>, charge: Charge, outcome: Outcome) {
        let Settled { used, wakes, news } = state.settle_with_queue(charge, outcome);
        let head = state.queue.wake_head();
        self.release(state, head);
        wakes.wake();
        #[cfg(feature = "redis")]
        self.report_outcome(charge, outcome);
        self.emit(&LimiterEvent::Settled {
            key: &self.key,
            reserved: charge.total(),
            used,
            known: matches!(outcome, Outcome::Known { .. }),
        });
        if let Some(news) = news {
            self.emit_news(news);
        }
    }

    #[cold]
    fn emit_news(&self, news: News) {
        let key = &self.key;
        self.emit(&match news {
            News::Believed { requests, tokens } => LimiterEvent::QuotaLearned {
                key,
                requests,
                tokens,
            },
            News::MoreMayBeHad => LimiterEvent::MoreMayBeHad { key },
        });
    }
}

/// What a settlement has to tell others once the lock is released.
pub(super) struct Settled {
    /// Tokens that the call cost.
    used: u64,
    wakes: Wakes,
    news: Option<News>,
}

impl State {
    /// Settles in the gates.
    #[inline]
    pub(super) fn settle(&mut self, charge: Charge, outcome: Outcome) {
        self.in_flight -= 1;
        if !charge.is_timed {
            self.concurrency.settle();
        }
        if charge.is_probe {
            self.plan.on_probe_end(charge.at, self.now);
        }
        self.reserved_tokens = self.reserved_tokens.saturating_sub(charge.total());
        let slot = self.slot_of(&charge);
        match outcome {
            Outcome::NeverSent => self.requests.correct(slot, 1, 0),
            Outcome::Rejected => self.on_throttled_request(),
            _ => {}
        }
        let (input, output) = charge.cost(outcome);
        let total = input.saturating_add(output);
        self.tokens.correct(slot, charge.total(), total);
        self.tokens_at_end.correct(slot, charge.input, input);
        self.tokens_at_end.charge(output);
        self.tokens_of_day
            .correct(charge.day, charge.total(), total);
        let requests = u64::from(outcome != Outcome::NeverSent);
        let actual = Amounts {
            requests,
            input,
            output,
        };
        self.limits.correct(charge.at, charge.amounts(), actual);
        self.settled_tokens = self.settled_tokens.saturating_add(total);
    }

    /// A request counts that the provider may not have counted: what it accepted is measured without.
    #[cold]
    fn on_throttled_request(&mut self) {
        let window = self.quota.window_nanos();
        let throttled = self
            .throttled_requests
            .get_or_insert_with(|| Window::new(window));
        throttled.advance(self.now);
        throttled.charge(1);
    }

    /// Settles in the queue too.
    #[inline(always)]
    pub(super) fn settle_with_queue(&mut self, charge: Charge, outcome: Outcome) -> Settled {
        let before = self.settled_tokens;
        self.settle(charge, outcome);
        let tokens = self.settled_tokens.saturating_sub(before);
        let actual = match outcome {
            Outcome::NeverSent => 0,
            // A call without tokens costs its flow a request, but not more than was reserved for
            // it.
            _ if tokens == 0 => self.price(0).min(self.price(charge.total())),
            // As the buckets: a figure that is a mistake must not starve its flow.
            _ if tokens > charge.total() => {
                let most = self.tokens.usable().saturating_mul(2);
                tokens.min(most.max(charge.total()))
            }
            _ => tokens,
        };
        Settled {
            used: tokens,
            wakes: self.queue.settle(charge.served, actual),
            news: self.quota_news(),
        }
    }
}
