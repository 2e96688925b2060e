//! The laws of the scripts, in memory: the crate's own gates, in microseconds, at the instant of
//! the latest booking.

use super::super::{BEGIN, DAY, WINDOW};
use crate::{
    gate::{Buckets, Capacity, SlotNumber, Window},
    quota::Quota,
    units::NEVER,
};

pub(super) struct Model {
    quota: Quota,
    gates: Gates,
    /// How it would be if the latest booking, which lies ahead, had never been.
    twin: Option<(Gates, BookingReply)>,
    closed_until: u64,
    /// When the limit was last met, and the multiple of the quota that is believed since.
    learned: (u64, u64),
    day: (u64, u64),
    charged: u64,
    given_back: u64,
    /// By how much the server's clock has been set back.
    pub(super) set_back: u64,
}

#[derive(Clone)]
struct Gates {
    requests: (Buckets, Window),
    tokens: (Buckets, Window),
    at_end: Window,
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BookingReply {
    pub(super) id: u64,
    pub(super) at: u64,
    slot: SlotNumber,
    input: u64,
    output: u64,
    day: u64,
}

/// What a call cost, which ended at this instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) ended_at: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) requests: u64,
}

impl Gates {
    fn advance(&mut self, now: u64) {
        self.at = self.at.max(now);
        for (buckets, window) in [&mut self.requests, &mut self.tokens] {
            buckets.advance(self.at);
            window.advance(self.at);
        }
        self.at_end.advance(self.at);
    }

    /// The first instant at which everything has room.
    fn ready_at(&self, quota: &Quota, share: u64, input: u64, total: u64) -> u64 {
        let ready = |(buckets, window): &(Buckets, Window), amount: u64, most: u64| {
            let buckets = match quota.is_smooth() {
                true => buckets.ready_at(amount),
                false => 0,
            };
            buckets.max(window.ready_at(self.at, amount, most.max(amount)))
        };
        let requests = share_of(quota.usable(quota.requests()), share);
        let tokens = share_of(quota.usable(quota.tokens()), share);
        ready(&self.requests, 1, requests)
            .max(ready(&self.tokens, total, tokens))
            .max(self.at_end.ready_at(self.at, input, tokens.max(input)))
    }

    fn take(&mut self, at: u64, input: u64, total: u64) -> SlotNumber {
        self.advance(at);
        self.requests.0.take(1);
        self.tokens.0.take(total);
        self.tokens.1.charge(total);
        self.at_end.charge(input);
        self.requests.1.charge(1)
    }

    /// What was charged turned out to be something else.
    fn correct(&mut self, slot: SlotNumber, charged: [u64; 3], cost: Cost) {
        let total = cost.input + cost.output;
        self.requests.1.correct(slot, charged[0], cost.requests);
        self.tokens.1.correct(slot, charged[1], total);
        self.at_end.correct(slot, charged[2], cost.input);
        self.at_end.add(slot_at(cost.ended_at), cost.output);
    }

    fn give(&mut self, booked: BookingReply, cost: Cost) {
        if cost.requests == 0 {
            self.requests.0.give(1);
        }
        let (charged, total) = (booked.total(), cost.input + cost.output);
        match charged.checked_sub(total) {
            Some(refund) => self.tokens.0.give(refund),
            None => self.tokens.0.take(total - charged),
        }
    }

    fn redate(&mut self, booked: BookingReply, slot: SlotNumber) {
        for (window, amount) in [
            (&mut self.requests.1, 1),
            (&mut self.tokens.1, booked.total()),
            (&mut self.at_end, booked.input),
        ] {
            window.refund(booked.slot, amount);
            window.add(slot, amount);
        }
    }
}

impl BookingReply {
    fn total(&self) -> u64 {
        self.input + self.output
    }
}

impl Model {
    pub(super) fn new(quota: Quota) -> Self {
        let gate = |amount| {
            let rate = quota.rate_of(amount);
            let buckets = Buckets::new(rate, WINDOW, Capacity::of(&quota, rate), BEGIN);
            (buckets, Window::new(WINDOW))
        };
        Self {
            quota,
            gates: Gates {
                requests: gate(quota.requests()),
                tokens: gate(quota.tokens()),
                at_end: Window::new(WINDOW),
                at: BEGIN,
            },
            twin: None,
            closed_until: 0,
            learned: (0, WHOLE),
            day: (BEGIN / DAY, 0),
            charged: 0,
            given_back: 0,
            set_back: 0,
        }
    }

    fn advance(&mut self, now: u64) {
        self.twin.take_if(|(_, latest)| latest.at <= now);
        self.each(|gates| gates.advance(now));
        let today = (now - self.set_back) / DAY;
        if today != self.day.0 {
            self.day = (today, 0);
        }
    }

    fn each(&mut self, change: impl Fn(&mut Gates)) {
        change(&mut self.gates);
        if let Some((twin, _)) = &mut self.twin {
            change(twin);
        }
    }

    /// The account is closed until then: what flows in goes to nobody.
    pub(super) fn close(&mut self, now: u64, until: u64) {
        self.advance(now);
        self.closed_until = self.closed_until.max(until);
        let until = self.closed_until;
        self.each(|gates| {
            gates.requests.0.close_until(until);
            gates.tokens.0.close_until(until);
        });
    }

    /// What a refusal showed: the newest counts.
    pub(super) fn learn(&mut self, now: u64, since: u64, share: u64) {
        self.advance(now);
        if since <= self.learned.0 {
            return;
        }
        self.learned = (since, share);
        let amounts = [self.quota.requests(), self.quota.tokens()];
        let limits = amounts.map(|amount| {
            let rate = self.quota.rate_of(amount);
            let Capacity { burst, credit } = Capacity::of(&self.quota, rate);
            let capacity = Capacity {
                burst: share_of(burst, share),
                credit: share_of(credit, share),
            };
            (share_of(rate, share), capacity)
        });
        self.each(|gates| {
            let buckets = [&mut gates.requests.0, &mut gates.tokens.0];
            for (buckets, (rate, capacity)) in buckets.into_iter().zip(limits) {
                buckets.set_rate(rate);
                buckets.set_capacity(capacity);
            }
        });
    }

    pub(super) fn reserve(
        &mut self,
        now: u64,
        id: u64,
        input: u64,
        output: u64,
        longest: Option<u64>,
    ) -> Result<BookingReply, [i64; 2]> {
        self.advance(now);
        let total = input + output;
        let mut at = self
            .gates
            .ready_at(&self.quota, self.learned.1, input, total);
        at = at.max(self.closed_until);
        let limit = self.quota.most_of_a_day();
        let day_ends = (self.day.0 + 1) * DAY + self.set_back;
        if self.day.1 + total > limit {
            if total > limit {
                return Err([0, -1]);
            }
            at = at.max(day_ends);
        }
        assert_ne!(at, NEVER);
        if longest.is_some_and(|longest| at - now > longest) {
            return Err([0, (at - now) as i64]);
        }
        if limit < u64::MAX && at >= day_ends {
            return Err([2, (day_ends - now).min(WINDOW) as i64]);
        }
        let twin = self.gates.clone();
        let booked = BookingReply {
            id,
            at,
            slot: self.gates.take(at, input, total),
            input,
            output,
            day: self.day.0,
        };
        self.twin = (at > now).then_some((twin, booked));
        self.day.1 += total;
        self.charged += total;
        Ok(booked)
    }

    pub(super) fn settle(&mut self, now: u64, booked: BookingReply, cost: Cost) {
        self.advance(now);
        let total = cost.input + cost.output;
        match self.twin.take_if(|(_, latest)| latest.id == booked.id) {
            Some((twin, _)) if total + cost.requests == 0 => self.gates = twin,
            _ => self.each(|gates| {
                gates.give(booked, cost);
                gates.correct(booked.slot, [1, booked.total(), booked.input], cost);
            }),
        }
        self.count(booked.day, booked.total(), total);
    }

    /// A call that this account never saw went out some time ago.
    pub(super) fn settle_unknown(&mut self, now: u64, age: u64, cost: Cost) {
        self.advance(now);
        self.each(|gates| gates.correct(slot_at(now - age), [0; 3], cost));
        let day = (now - self.set_back - age) / DAY;
        self.count(day, 0, cost.input + cost.output);
    }

    fn count(&mut self, day: u64, charged: u64, total: u64) {
        if day == self.day.0 {
            self.day.1 = (self.day.1 + total).saturating_sub(charged);
        }
        self.charged += total.saturating_sub(charged);
        self.given_back += charged.saturating_sub(total);
    }

    /// A booked call goes out at `now` and not earlier; says whether that is another slot.
    pub(super) fn send(&mut self, now: u64, booked: &mut BookingReply) -> bool {
        self.advance(now);
        let slot = slot_at(now);
        if booked.slot >= slot {
            return false;
        }
        self.each(|gates| gates.redate(*booked, slot));
        (booked.at, booked.slot) = (now, slot);
        if booked.day != self.day.0 {
            booked.day = self.day.0;
            self.day.1 += booked.total();
        }
        true
    }

    pub(super) fn snapshot(&mut self, now: u64) -> Vec<i64> {
        self.advance(now);
        let level = |level: i64| match self.quota.is_smooth() {
            true => level,
            false => 0,
        };
        let signed = |amount: u64| i64::try_from(amount).unwrap();
        let gates = &self.gates;
        vec![
            signed(gates.requests.1.sum()),
            signed(gates.tokens.1.sum()),
            signed(gates.at_end.sum()),
            level(gates.requests.0.level()),
            level(gates.tokens.0.level()),
            signed(self.closed_until.saturating_sub(now)),
            signed(gates.at - now),
            signed(self.charged),
            signed(self.given_back),
            signed(self.day.1),
            1,
            level(gates.requests.0.peak_level()),
            level(gates.tokens.0.peak_level()),
        ]
    }
}

const WHOLE: u64 = 1 << 32;

/// As in the gates: at least 1 of anything.
fn share_of(amount: u64, share: u64) -> u64 {
    (amount * share / WHOLE).max(amount.min(1))
}

fn slot_at(at: u64) -> SlotNumber {
    at / WINDOW.div_ceil(127) + 128
}
