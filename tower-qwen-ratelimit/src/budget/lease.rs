//! What a process holds of a limit that a fleet shares.

use super::amount::Unit;
use crate::{leased_amounts::LeasedAmount, sharing::OutagePolicy, units::Nanos};

/// Pico-units of money in one of the store's units, which are millionths of a currency: scripts count in
/// doubles, exact up to 2^53, and nine thousand dollars are as many pico-dollars.
const PICO_PER_STORE_UNIT: u128 = 1_000_000;
/// The most that a limit has at the store: half of 2^53, so that a sum is exact too.
const MOST: u64 = 1 << 52;
/// For how long a process goes on with what it holds of a rolling period without an answer of the store:
/// as long as the period, within these bounds. What a dead process holds is blocked for the period and
/// this, hence a minute at most. A server that starts again, or stands still, is away for seconds.
const SHORTEST_TERM: Nanos = 10_000_000_000;
const LONGEST_TERM: Nanos = 60_000_000_000;

/// What a process may spend of one limit in one period.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    /// The first instant of a calendar period; 0 of a rolling one, which has none.
    pub(super) start: Nanos,
    /// Of a rolling period.
    pub(super) length: Option<Nanos>,
    /// All that the process may have spent and reserved in it, in the smallest part of the unit.
    pub(super) granted: u128,
    /// What the store said last.
    pub(super) known: LeasedAmount,
    /// When the latest report was made that was answered.
    pub(super) reported_at: Nanos,
    pub(super) answered_at: Option<Nanos>,
    pub(super) used_at: Nanos,
    /// How much is taken beforehand, by the latest answer.
    pub(super) beforehand: u128,
    /// It is to be reported in any case: the store may have lost it.
    pub(super) is_due: bool,
    /// A call has found too little since the latest report.
    pub(super) is_lacking: bool,
    /// The store has said that all hold more than the limit.
    pub(super) is_over: bool,
    /// The store has not answered for the term of a rolling period.
    pub(super) has_lapsed: bool,
}

/// What happens while the store is away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    pub(super) policy: OutagePolicy,
    /// Processes that lived before, at least 1.
    pub(super) processes: u64,
}

/// Where an amount may come from that the process does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BeyondRoom {
    /// The store is away, and the call goes all the same.
    Enough,
    AtStore,
    Nothing,
}

/// Why a limit is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportReason {
    /// Calls need more.
    Calls,
    /// It is looked through from time to time.
    Timer,
    /// The budgets are gone.
    End,
}

impl Outage {
    pub(super) fn rejects(self) -> bool {
        self.policy == OutagePolicy::Reject
    }
}

impl Unit {
    /// How many of its smallest parts one of the store's units has.
    pub(super) fn per_store_unit(self) -> u128 {
        match self {
            Self::Money(_) => PICO_PER_STORE_UNIT,
            Self::Counted(_) => 1,
        }
    }

    pub(super) fn of_store(self, amount: u64) -> u128 {
        u128::from(amount) * self.per_store_unit()
    }

    /// Rounded up: what a call needs, and what it has used.
    pub(super) fn to_store(self, count: u128) -> u64 {
        at_most(count.div_ceil(self.per_store_unit()))
    }
}

pub(super) fn at_most(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(MOST).min(MOST)
}

/// How long a lease of a rolling period holds without an answer.
fn term(length: Nanos) -> Nanos {
    length.clamp(SHORTEST_TERM, LONGEST_TERM)
}

/// How long the store counts what a process that does not report holds of a rolling period: until all has
/// left it that the process can have spent.
pub(super) fn forgotten_after(length: Nanos) -> Nanos {
    length.saturating_add(term(length))
}

impl Lease {
    /// Of a calendar period that begins then, or of a rolling one of a length.
    pub(super) fn new(start: Nanos, length: Option<Nanos>) -> Self {
        Self {
            start,
            length,
            granted: 0,
            known: LeasedAmount::default(),
            reported_at: 0,
            answered_at: None,
            used_at: 0,
            beforehand: 0,
            is_due: false,
            is_lacking: false,
            is_over: false,
            has_lapsed: false,
        }
    }

    /// What holds of a rolling period now, of which so much is used.
    #[inline]
    pub(super) fn advance_rolling(&mut self, length: Nanos, used: u128, now: Nanos) {
        let silent_for = now.saturating_sub(self.reported_at);
        if silent_for >= term(length) {
            self.lapse(silent_for >= forgotten_after(length));
        }
        // What leaves the period is not spent anew: so all come back to the limit that have passed it by
        // calls that cost more, by an outage, or by the store's loss.
        if self.is_over {
            self.granted = self.granted.min(used);
        }
    }

    /// The store forgets the process soon, or has. Until then it counts what it had granted, which a new
    /// life of the limit has to know.
    fn lapse(&mut self, is_forgotten: bool) {
        (self.granted, self.beforehand) = (0, 0);
        (self.is_over, self.has_lapsed) = (false, true);
        if is_forgotten || self.known.granted == 0 {
            self.known = LeasedAmount::default();
        }
    }

    /// A lease of a rolling period is to be reported before it lapses, with time for another report.
    pub(super) fn is_renewal_due(&self, now: Nanos) -> bool {
        let is_old = |length| now.saturating_sub(self.reported_at) >= term(length) / 2;
        self.length.is_some_and(is_old)
    }

    /// What the store has left of a limit, as it said last; all, where it has not.
    pub(super) fn left(&self, limit: u128, unit: Unit) -> u128 {
        match self.has_lapsed {
            true => limit,
            false => limit.saturating_sub(unit.of_store(self.known.all)),
        }
    }

    /// What other processes hold and have spent, as the store said last.
    pub(super) fn of_others(&self, unit: Unit) -> u128 {
        match self.has_lapsed {
            true => 0,
            false => unit.of_store(self.known.all.saturating_sub(self.known.granted)),
        }
    }
}
