use std::time::SystemTime;

use crate::{period::Period, units::Nanos};

#[cfg(feature = "redis")]
use super::lease::Lease;
use super::{
    amount::Unit,
    budget::BudgetLimit,
    sums::{PeriodSums, Sums, time},
};

/// What one limit counts.
#[derive(Debug)]
pub(super) struct LimitCounter {
    pub(super) unit: Unit,
    pub(super) period: Period,
    /// The first version of the table with this limit: calls of earlier ones have reserved nothing here.
    pub(super) version: u64,
    pub(super) limit: u128,
    lines: Vec<Line>,
    pub(super) sums: PeriodSums,
    /// What this process may spend of it, where a fleet shares it.
    #[cfg(feature = "redis")]
    pub(super) lease: Option<Lease>,
}

/// What is reported when it is spent.
#[derive(Debug, Clone, Copy)]
struct Line {
    amount: u128,
    /// Once reported, not before this instant again.
    silent_until: Nanos,
}

impl LimitCounter {
    /// A counter of a limit whose amounts have been checked.
    pub(super) fn new(limit: &BudgetLimit, version: u64, now: Nanos) -> Self {
        let mut counter = Self {
            unit: limit.amount.unit(),
            period: limit.period,
            version,
            limit: 0,
            lines: Vec::new(),
            sums: PeriodSums::new(limit.period, now),
            #[cfg(feature = "redis")]
            lease: None,
        };
        counter.set_limit(limit);
        counter
    }

    pub(super) fn is_of(&self, limit: &BudgetLimit) -> bool {
        (self.unit, self.period) == (limit.amount.unit(), limit.period)
    }

    /// Takes the amounts of a limit of the same unit and period. Lines that stay are not reported again.
    pub(super) fn set_limit(&mut self, limit: &BudgetLimit) {
        self.limit = limit.amount.count().unwrap_or(0);
        let known = std::mem::take(&mut self.lines);
        let line = |amount: u128| {
            let same = known.iter().find(|line| line.amount == amount);
            same.copied().unwrap_or(Line {
                amount,
                silent_until: 0,
            })
        };
        let amounts = limit.lines.iter().filter_map(|line| line.count());
        self.lines = amounts.map(line).collect();
    }

    /// Goes on from that one of these counters that has most of this unit in a period within this one.
    pub(super) fn take_over(&mut self, others: &[Self], now: Nanos) {
        let is_within = |other: &&Self| {
            other.unit == self.unit && other.sums.since(now) >= self.sums.since(now)
        };
        let most = others
            .iter()
            .filter(is_within)
            .max_by_key(|other| other.sums.total().all());
        // A call under way settles at the other counter, so its estimate stands here.
        for (at, amount) in most.map(Self::parts).unwrap_or_default() {
            self.add_spent(at, amount);
        }
    }

    pub(super) fn advance(&mut self, now: Nanos) {
        self.sums.advance(now);
        #[cfg(feature = "redis")]
        self.advance_lease(now);
    }

    /// How much more may be reserved now: of the limit, and of what a shared store has granted.
    pub(super) fn room(&self) -> u128 {
        #[cfg(feature = "redis")]
        let most = self
            .lease
            .map_or(self.limit, |lease| self.limit.min(lease.granted));
        #[cfg(not(feature = "redis"))]
        let most = self.limit;
        most.saturating_sub(self.sums.total().all())
    }

    /// When so much can be reserved if nobody else comes; `None`: never.
    pub(super) fn frees(&self, need: u128, now: Nanos) -> Option<Nanos> {
        let rest = self.limit.checked_sub(need)?;
        let reserved = self.sums.total().reserved;
        let excess = self.spent_by_all().saturating_add(reserved);
        let frees = self.sums.frees(excess.saturating_sub(rest));
        // What others have spent of a rolling period leaves it at an instant that they alone know.
        frees.or_else(|| Some(now.saturating_add(self.sums.length()?)))
    }

    pub(super) fn reserve(&mut self, at: Nanos, amount: u128) {
        self.sums.reserve(at, amount);
        #[cfg(feature = "redis")]
        if let Some(lease) = &mut self.lease {
            lease.used_at = at;
        }
    }

    pub(super) fn settle(&mut self, at: Nanos, reserved: u128, actual: u128) {
        self.sums.settle(at, reserved, actual);
    }

    /// Counts what was spent by an earlier process.
    pub(super) fn add_spent(&mut self, at: Nanos, amount: u128) {
        self.sums.settle(at, 0, amount);
    }

    /// Calls `report` with each line that is reached and was not reported in this period.
    pub(super) fn report_lines(&mut self, now: Nanos, mut report: impl FnMut(u128)) {
        let spent = self.spent_by_all();
        for line in &mut self.lines {
            if spent >= line.amount && now >= line.silent_until {
                line.silent_until = self.sums.next_period(now);
                report(line.amount);
            }
        }
    }

    /// What is spent; in a fleet by all processes, what others hold counting as spent.
    pub(super) fn spent_by_all(&self) -> u128 {
        let total = self.sums.total();
        #[cfg(feature = "redis")]
        if let Some(lease) = &self.lease {
            let others = lease.of_others(self.unit);
            return total.spent.saturating_add(others);
        }
        total.spent
    }

    /// What nobody has spent or reserved; in a fleet, what others hold counts as spent.
    #[cfg(feature = "redis")]
    pub(super) fn left(&self) -> u128 {
        let used = self.spent_by_all().saturating_add(self.total().reserved);
        self.limit.saturating_sub(used)
    }

    pub(super) fn limit(&self) -> u128 {
        self.limit
    }

    pub(super) fn total(&self) -> Sums {
        self.sums.total()
    }

    pub(super) fn is_empty(&self) -> bool {
        let is_empty = self.sums.total() == Sums::default();
        #[cfg(feature = "redis")]
        let is_empty = is_empty && !self.holds_lease();
        is_empty
    }

    pub(super) fn parts(&self) -> Vec<(Nanos, u128)> {
        self.sums.parts()
    }

    pub(super) fn resets_at(&self) -> Option<SystemTime> {
        self.sums.frees(0).map(time)
    }
}
