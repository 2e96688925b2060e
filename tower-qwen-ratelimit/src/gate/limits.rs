use std::time::{Duration, SystemTime};

use super::window::Window;
use crate::{
    limit::{Limit, LimitKind},
    period::{Period, PeriodKind},
    queue::Ahead,
    units::{NEVER, Nanos, nanos},
};

/// What one call costs, in all that a [`Limit`] can count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) requests: u64,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

/// The limits of a quota beside its requests and tokens per window.
///
/// What a call was charged is found again by the instant of its charge alone: no call carries a slot
/// for each of them.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    gates: Vec<LimitGate>,
}

#[derive(Debug)]
struct LimitGate {
    limit: Limit,
    counter: Counter,
}

#[derive(Debug)]
enum Counter {
    Rolling(Window),
    Calendar(Calendar),
}

/// What was used of a calendar period.
#[derive(Debug)]
struct Calendar {
    period: Period,
    /// Wall time at the account's epoch.
    epoch: SystemTime,
    used: u64,
    begins: Nanos,
    /// `NEVER` where it does not end.
    ends: Nanos,
}

impl Amounts {
    pub(crate) const NOTHING: Self = Self {
        requests: 0,
        input: 0,
        output: 0,
    };

    pub(crate) fn of(self, kind: LimitKind) -> u64 {
        match kind {
            LimitKind::Requests => self.requests,
            LimitKind::Tokens => self.input.saturating_add(self.output),
            LimitKind::InputTokens => self.input,
            LimitKind::OutputTokens => self.output,
        }
    }
}

impl Limits {
    /// `wall` is the wall time at `now`.
    pub(crate) fn new(limits: impl Iterator<Item = Limit>, wall: SystemTime, now: Nanos) -> Self {
        let mut gates = Self::default();
        gates.set(limits, wall, now);
        gates
    }

    /// Goes on with other limits. What counts the same over the same time keeps what was used.
    pub(crate) fn set(
        &mut self,
        limits: impl Iterator<Item = Limit>,
        wall: SystemTime,
        now: Nanos,
    ) {
        let mut before = std::mem::take(&mut self.gates);
        let gate = |limit: Limit| {
            let known = before.iter().position(|gate| gate.limit.counts_as(&limit));
            match known {
                Some(at) => LimitGate {
                    limit,
                    ..before.swap_remove(at)
                },
                None => LimitGate {
                    limit,
                    counter: Counter::new(limit.period(), wall, now),
                },
            }
        };
        self.gates = limits.map(gate).collect();
    }

    pub(crate) fn advance(&mut self, now: Nanos) {
        for gate in &mut self.gates {
            gate.counter.advance(now);
        }
    }

    /// Whether a call of this cost could ever go.
    pub(crate) fn fit(&self, amounts: Amounts) -> bool {
        let fits = |gate: &LimitGate| amounts.of(gate.limit.kind()) <= gate.limit.amount();
        self.gates.iter().all(fits)
    }

    /// The most tokens of an answer behind a prompt of `input` that every limit has room for.
    pub(crate) fn most_output(&self, input: u64) -> u64 {
        let room = |gate: &LimitGate| match gate.limit.kind() {
            LimitKind::Tokens => gate.limit.amount().saturating_sub(input),
            LimitKind::OutputTokens => gate.limit.amount(),
            LimitKind::Requests | LimitKind::InputTokens => u64::MAX,
        };
        self.gates.iter().map(room).min().unwrap_or(u64::MAX)
    }

    /// The first instant at which a call of this cost may go.
    pub(crate) fn ready_at(&self, now: Nanos, amounts: Amounts) -> Nanos {
        self.binding(now, amounts).map_or(now, |(_, at)| at)
    }

    /// The limit for which a call of this cost waits longest, and until when; `None` where it waits for
    /// none.
    pub(crate) fn binding(&self, now: Nanos, amounts: Amounts) -> Option<(Limit, Nanos)> {
        let waits = self.gates.iter().filter_map(|gate| {
            let amount = amounts.of(gate.limit.kind());
            let at = gate.counter.ready_at(now, amount, gate.limit.amount());
            (at > now).then_some((gate.limit, at))
        });
        waits.max_by_key(|(_, at)| *at)
    }

    /// The instant at which a call of this cost will go behind all that is `ahead`.
    // Of the calls ahead only all tokens are known, so limits of input or output alone count the call
    // itself.
    pub(crate) fn predicted(&self, now: Nanos, ahead: Ahead, amounts: Amounts) -> Nanos {
        let at = |gate: &LimitGate| {
            let before = match gate.limit.kind() {
                LimitKind::Requests => ahead.requests,
                LimitKind::Tokens => ahead.tokens,
                LimitKind::InputTokens | LimitKind::OutputTokens => 0,
            };
            let all = before.saturating_add(amounts.of(gate.limit.kind()));
            gate.counter.predicted(now, all, gate.limit.amount())
        };
        self.gates.iter().map(at).max().unwrap_or(now)
    }

    pub(crate) fn charge(&mut self, amounts: Amounts) {
        for gate in &mut self.gates {
            gate.counter.charge(amounts.of(gate.limit.kind()));
        }
    }

    /// What was `charged` at an instant turned out to be `actual`; nothing changes of a period that is
    /// over.
    pub(crate) fn correct(&mut self, at: Nanos, charged: Amounts, actual: Amounts) {
        for gate in &mut self.gates {
            let kind = gate.limit.kind();
            gate.counter.correct(at, charged.of(kind), actual.of(kind));
        }
    }

    /// When a charge of now would no longer be dated as now.
    pub(crate) fn dated_until(&self) -> Nanos {
        let ends = |gate: &LimitGate| match &gate.counter {
            Counter::Rolling(window) => window.newest_ends(),
            Counter::Calendar(calendar) => calendar.ends,
        };
        self.gates.iter().map(ends).min().unwrap_or(NEVER)
    }

    /// Whether nothing is used of any.
    pub(crate) fn are_unused(&self) -> bool {
        self.gates.iter().all(|gate| gate.counter.used() == 0)
    }

    /// Each limit, what was used of it, and how long until all of it may be used again: until the end
    /// of a calendar period (`None` of a total), or until what is used has left a rolling one.
    pub(crate) fn each(
        &self,
        now: Nanos,
    ) -> impl Iterator<Item = (Limit, u64, Option<Duration>)> + '_ {
        self.gates.iter().map(move |gate| {
            let free_at = match &gate.counter {
                Counter::Rolling(window) => window.ready_at(now, u64::MAX, u64::MAX),
                Counter::Calendar(calendar) => calendar.ends,
            };
            let free_in = Duration::from_nanos(free_at.saturating_sub(now));
            let free_in = (free_at != NEVER).then_some(free_in);
            (gate.limit, gate.counter.used(), free_in)
        })
    }
}

impl Counter {
    fn new(period: Period, wall: SystemTime, now: Nanos) -> Self {
        match period.kind() {
            PeriodKind::Rolling(length) => {
                let mut window = Window::new(nanos(length));
                window.advance(now);
                Self::Rolling(window)
            }
            _ => Self::Calendar(Calendar::new(period, wall, now)),
        }
    }

    fn advance(&mut self, now: Nanos) {
        match self {
            Self::Rolling(window) => window.advance(now),
            Self::Calendar(calendar) => calendar.advance(now),
        }
    }

    fn used(&self) -> u64 {
        match self {
            Self::Rolling(window) => window.sum(),
            Self::Calendar(calendar) => calendar.used,
        }
    }

    fn ready_at(&self, now: Nanos, amount: u64, limit: u64) -> Nanos {
        match self {
            Self::Rolling(window) => window.ready_at(now, amount, limit),
            Self::Calendar(calendar) if calendar.used.saturating_add(amount) <= limit => now,
            Self::Calendar(calendar) if amount <= limit => calendar.ends,
            Self::Calendar(_) => NEVER,
        }
    }

    /// When `amount` may go, of which the last part goes in a later period if it is more than a limit.
    fn predicted(&self, now: Nanos, amount: u64, limit: u64) -> Nanos {
        // A limit of nothing is never met: `None` of the division.
        let Some(periods) = amount.saturating_sub(1).checked_div(limit) else {
            return NEVER;
        };
        let rest = amount - periods * limit;
        let first = self.ready_at(now, rest, limit);
        let length = match self {
            Self::Rolling(window) => window.length(),
            Self::Calendar(calendar) => calendar.ends.saturating_sub(calendar.begins),
        };
        first.saturating_add(periods.saturating_mul(length))
    }

    fn charge(&mut self, amount: u64) {
        match self {
            Self::Rolling(window) => {
                window.charge(amount);
            }
            Self::Calendar(calendar) => calendar.used = calendar.used.saturating_add(amount),
        }
    }

    fn correct(&mut self, at: Nanos, charged: u64, actual: u64) {
        match self {
            Self::Rolling(window) => window.correct(window.slot_of(at), charged, actual),
            Self::Calendar(calendar) if at >= calendar.begins => {
                let used = calendar.used.saturating_add(actual);
                calendar.used = used.saturating_sub(charged);
            }
            Self::Calendar(_) => {}
        }
    }
}

impl Calendar {
    fn new(period: Period, wall: SystemTime, now: Nanos) -> Self {
        let mut calendar = Self {
            period,
            epoch: wall.checked_sub(Duration::from_nanos(now)).unwrap_or(wall),
            used: 0,
            begins: 0,
            ends: now,
        };
        calendar.advance(now);
        calendar
    }

    /// Only forward: instants of an account never run backwards, so no period is given twice.
    fn advance(&mut self, now: Nanos) {
        if now < self.ends {
            return;
        }
        let wall = self.epoch.checked_add(Duration::from_nanos(now));
        let span = self.period.span_at(wall.unwrap_or(self.epoch));
        // A calendar period always has a span, and what is before the epoch has begun.
        let of_epoch = |at: SystemTime| {
            at.duration_since(self.epoch)
                .map_or(0, nanos)
                .min(NEVER - 1)
        };
        self.used = 0;
        (self.begins, self.ends) = span.map_or((now, NEVER), |span| {
            (of_epoch(span.start), span.end.map_or(NEVER, of_epoch))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::period::TimeZone;

    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400 * SECOND;

    fn call(input: u64, output: u64) -> Amounts {
        Amounts {
            requests: 1,
            input,
            output,
        }
    }

    fn midnight() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(20_786 * 86_400)
    }

    #[test]
    fn each_kind_counts_its_own() {
        let all = [
            Limit::requests(3, Period::SECOND),
            Limit::tokens(100, Period::MINUTE),
            Limit::input_tokens(80, Period::HOUR),
            Limit::output_tokens(30, Period::day(TimeZone::UTC)),
        ];
        let mut limits = Limits::new(all.into_iter(), midnight(), 0);
        limits.charge(call(40, 20));
        let used: Vec<u64> = limits.each(0).map(|(_, used, _)| used).collect();
        assert_eq!(used, [1, 60, 40, 20]);
        assert!(limits.fit(call(70, 30)));
        assert!(!limits.fit(call(81, 0)) && !limits.fit(call(0, 31)) && !limits.fit(call(75, 26)));
        assert_eq!((limits.most_output(20), limits.most_output(90)), (30, 10));
        assert_eq!(limits.ready_at(0, call(40, 0)), 0);
        let binding = |amounts| limits.binding(0, amounts).map(|(limit, _)| limit);
        assert_eq!(binding(call(41, 0)), Some(all[2]));
        assert_eq!(limits.binding(0, call(0, 11)), Some((all[3], DAY)));
    }

    #[test]
    fn a_calendar_period_begins_anew_and_an_old_charge_stays_in_its_own() {
        let limit = Limit::tokens(10, Period::day(TimeZone::UTC));
        let noon = midnight() + Duration::from_secs(12 * 3_600);
        let mut limits = Limits::new([limit].into_iter(), noon, 7);
        limits.charge(call(10, 0));
        let next = DAY / 2 + 7;
        assert_eq!(limits.ready_at(7, call(1, 0)), next);
        limits.advance(next - 1);
        assert_eq!(limits.ready_at(next - 1, call(1, 0)), next);
        limits.advance(next);
        assert!(limits.are_unused());
        limits.charge(call(4, 0));
        limits.correct(7, call(10, 0), call(90, 0));
        limits.correct(next, call(4, 0), call(3, 0));
        let used: Vec<_> = limits.each(next).collect();
        assert_eq!(used, [(limit, 3, Some(Duration::from_nanos(DAY)))]);
    }

    #[test]
    fn what_counts_the_same_keeps_its_use() {
        let day = Period::day(TimeZone::UTC);
        let before = [Limit::tokens(10, day), Limit::requests(5, Period::SECOND)];
        let mut limits = Limits::new(before.into_iter(), midnight(), 0);
        limits.charge(call(8, 0));
        let after = [Limit::requests(9, day), Limit::tokens(7, day)];
        limits.set(after.into_iter(), midnight(), 0);
        let used: Vec<u64> = limits.each(0).map(|(_, used, _)| used).collect();
        assert_eq!(used, [0, 8]);
        assert_eq!(limits.ready_at(0, call(1, 0)), DAY);
        assert_eq!(limits.ready_at(0, call(8, 0)), NEVER);
    }

    proptest! {
        /// No period holds more than its limit, and what is settled leaves what was used.
        #[test]
        fn no_period_holds_more(
            calls in prop::collection::vec((0_u64..40_000, 0_u64..60, 0_u64..60, any::<bool>()), 1..60),
            amount in 120_u64..300,
        ) {
            let limit = Limit::tokens(amount, Period::day(TimeZone::UTC));
            let mut limits = Limits::new([limit].into_iter(), midnight(), 0);
            let (mut now, mut sums) = (0_u64, std::collections::BTreeMap::new());
            for (pause, input, output, is_returned) in calls {
                now += pause * SECOND;
                limits.advance(now);
                let cost = call(input, output);
                let at = limits.ready_at(now, cost);
                prop_assert!(at == now || at == (now / DAY + 1) * DAY);
                now = at;
                limits.advance(now);
                limits.charge(cost);
                if is_returned {
                    limits.correct(now, cost, Amounts::NOTHING);
                } else {
                    *sums.entry(now / DAY).or_insert(0) += input + output;
                }
                prop_assert!(sums.values().all(|sum| *sum <= amount));
                let used = limits.each(now).map(|(_, used, _)| used).next();
                prop_assert_eq!(used, Some(sums.get(&(now / DAY)).copied().unwrap_or(0)));
            }
        }
    }
}
