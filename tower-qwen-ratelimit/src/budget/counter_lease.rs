//! What a process may spend of a limit, beside the limit itself.

use std::time::Duration;

use super::{
    BudgetOwner,
    counter::LimitCounter,
    lease::{BeyondRoom, Lease, Outage, ReportReason, at_most, forgotten_after},
    leases::ReportedLimit,
};
use crate::{
    leased_amounts::{LeasedAmount, LeasedLimit},
    sharing::OutagePolicy,
    units::Nanos,
};

/// For how long an answer of the store is believed that there is too little left: longer than from one
/// report by the timer to the next, which asks again for all limits that calls have lacked. So a caller
/// that goes on although its budget is used up costs no round trip of its own.
const BELIEVED_FOR: Nanos = 1_500_000_000;
/// What was not used for this long comes back to the store.
const IDLE_AFTER: Nanos = 2_000_000_000;
/// Of a rolling period a process keeps the eighth part of what it holds, used or not: what has just left the
/// period is used again a moment later, and would be asked for in single calls.
const UNUSED_PART_OF_ROLLING: u128 = 8;
/// The store keeps a limit for so long after its period's end, by whose clock ever.
const STORED_AFTER_END: Duration = Duration::from_secs(3_600);

impl LimitCounter {
    /// A fleet shares it from now on.
    pub(super) fn share(&mut self, now: Nanos) {
        let length = self.sums.length();
        let start = match length {
            Some(_) => 0,
            None => self.sums.since(now),
        };
        self.lease = Some(Lease::new(start, length));
    }

    /// A new calendar period begins with nothing. What was left of the one before is of use to nobody.
    #[inline]
    pub(super) fn advance_lease(&mut self, now: Nanos) {
        let used = self.total().all();
        let Some(lease) = &mut self.lease else {
            return;
        };
        if let Some(length) = lease.length {
            return lease.advance_rolling(length, used, now);
        }
        let start = self.sums.since(now);
        if lease.start != start {
            *lease = Lease::new(start, None);
        }
    }

    /// Where an amount may come from that is more than the room.
    pub(super) fn beyond_room(
        &self,
        needed: u128,
        outage: Option<Outage>,
        now: Nanos,
    ) -> BeyondRoom {
        let Some(lease) = &self.lease else {
            return BeyondRoom::Nothing;
        };
        let all = self.total().all().saturating_add(needed);
        let left = lease.left(self.limit, self.unit);
        let is_enough = match outage {
            Some(outage) if outage.policy == OutagePolicy::Unlimited => true,
            Some(outage) => {
                let share = left / u128::from(outage.processes.max(1));
                all <= self.limit.min(lease.granted.saturating_add(share))
            }
            None => {
                let is_believed = lease
                    .answered_at
                    .is_some_and(|at| now < at.saturating_add(BELIEVED_FOR));
                let is_gone = is_believed && all > lease.granted.saturating_add(left);
                return match all > self.limit || is_gone {
                    true => BeyondRoom::Nothing,
                    false => BeyondRoom::AtStore,
                };
            }
        };
        match is_enough {
            true => BeyondRoom::Enough,
            false => BeyondRoom::Nothing,
        }
    }

    /// A call has found too little, here and by the latest answer.
    pub(super) fn lacks(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.is_lacking = true;
        }
    }

    pub(super) fn is_lacking(&self) -> bool {
        self.lease.is_some_and(|lease| lease.is_lacking)
    }

    pub(super) fn holds_lease(&self) -> bool {
        self.lease
            .is_some_and(|lease| lease.granted > 0 || lease.known.granted > 0)
    }

    /// A call did not fit here: what is left is too little for it, and may be enough for another process.
    pub(super) fn give_back_rest(&mut self, needed: u128) {
        let (room, limit) = (self.room(), self.limit);
        let unit = self.unit;
        if let Some(lease) = &mut self.lease
            && needed > room.saturating_add(lease.left(limit, unit))
        {
            lease.used_at = 0;
        }
    }

    /// The store may have lost what it knew.
    pub(super) fn report_in_any_case(&mut self) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.known.granted > 0) {
            lease.is_due = true;
        }
    }

    /// What the process goes on with, in the store's units: less than it has where it has more than it
    /// uses, more where calls cost more than was granted.
    fn goes_on_with(&self, lease: &Lease, reason: ReportReason, now: Nanos) -> (u64, u64) {
        let all = self.total().all();
        let used = self.unit.to_store(all);
        let granted = at_most(lease.granted / self.unit.per_store_unit());
        let is_idle = now >= lease.used_at.saturating_add(IDLE_AFTER);
        let most = match reason {
            ReportReason::Calls => granted,
            ReportReason::End => used,
            ReportReason::Timer if is_idle => used,
            ReportReason::Timer if lease.granted.saturating_sub(all) > most_unused(lease) => {
                used.saturating_add(at_most(lease.beforehand / self.unit.per_store_unit()))
            }
            ReportReason::Timer => granted,
        };
        (granted.min(most).max(used), used)
    }

    /// Whether the store is to know of it.
    pub(super) fn is_report_due(&self, reason: ReportReason, now: Nanos) -> bool {
        self.lease.is_some_and(|lease| {
            let (goes_on_with, _) = self.goes_on_with(&lease, reason, now);
            let is_renewed = goes_on_with > 0 && lease.is_renewal_due(now);
            let has_changed = goes_on_with != lease.known.granted;
            lease.is_due || is_renewed || has_changed || self.runs_low(&lease, reason, now)
        })
    }

    /// Soon a call would have to ask the store, or has found too little. Taken now, more goes along with what
    /// is reported anyway. At the end nothing is taken, or the last report would be followed by another for
    /// ever.
    fn runs_low(&self, lease: &Lease, reason: ReportReason, now: Nanos) -> bool {
        let is_used = now < lease.used_at.saturating_add(IDLE_AFTER);
        let is_low = is_used && self.room() < lease.beforehand / 2;
        reason != ReportReason::End && (lease.is_lacking || is_low)
    }

    /// What is reported. From now on the process has no more than that.
    pub(super) fn begin_report(
        &mut self,
        owner: &BudgetOwner,
        reason: ReportReason,
        now: Nanos,
    ) -> Option<LeasedLimit> {
        let mut lease = self.lease?;
        let (granted, used) = self.goes_on_with(&lease, reason, now);
        // What was spent beyond it stays spent, and is granted when the store has said so.
        lease.granted = lease.granted.min(self.unit.of_store(granted));
        let known = lease.known.granted;
        let runs_low = self.runs_low(&lease, reason, now);
        (lease.is_due, lease.is_lacking) = (false, false);
        if reason == ReportReason::End {
            // Nobody waits for the answer, and it is reported once.
            (lease.known.granted, lease.reported_at) = (granted, now);
        }
        self.lease = Some(lease);
        // Who has nothing says nothing of the sum: it may be of long ago.
        let read = match known {
            0 => LeasedAmount::default(),
            _ => lease.known,
        };
        let unit = self.unit.name();
        // In seconds: calendar periods begin with one.
        let start = Duration::from_nanos(lease.start).as_secs();
        // When all processes are forgotten, so is the limit.
        let forgotten_after = lease.length.map(forgotten_after).map(Duration::from_nanos);
        Some(LeasedLimit {
            // The owner's name last: it may have colons.
            name: format!(
                "{unit}:{}:{start}:{}:{}",
                self.period,
                owner.kind(),
                owner.name()
            ),
            limit: at_most(self.limit / self.unit.per_store_unit()),
            known,
            granted,
            used,
            runs_low,
            life: read.life,
            all: read.all,
            earlier: read.earlier,
            stored_for: forgotten_after.or_else(|| self.stored_for(now)),
            forgotten_after,
        })
    }

    /// How long the store keeps a limit in a calendar period.
    fn stored_for(&self, now: Nanos) -> Option<Duration> {
        let left = self.sums.end()?.saturating_sub(now);
        Some(Duration::from_nanos(left) + STORED_AFTER_END)
    }

    /// The first instant of the period of its lease.
    pub(super) fn lease_start(&self) -> Option<Nanos> {
        self.lease.map(|lease| lease.start)
    }

    /// What the store has answered to a report of this period.
    pub(super) fn end_report(
        &mut self,
        reported: &ReportedLimit,
        amount: LeasedAmount,
        parts: u64,
        now: Nanos,
    ) {
        let unit = self.unit;
        let limit = at_most(self.limit / unit.per_store_unit());
        let is_it = |lease: &&mut Lease| lease.start == reported.start;
        if let Some(lease) = self.lease.as_mut().filter(is_it) {
            lease.granted = unit.of_store(amount.granted);
            lease.known = amount;
            lease.reported_at = reported.reported_at;
            lease.answered_at = Some(now);
            lease.has_lapsed = false;
            lease.is_over = lease.length.is_some() && amount.all > limit;
            lease.beforehand = lease.left(self.limit, unit) / u128::from(parts.max(1));
        }
    }
}

/// What a process keeps that it does not use. Twice of what is taken beforehand, so that not every answer
/// that is shorter than was expected makes a report.
fn most_unused(lease: &Lease) -> u128 {
    let of_rolling = match lease.length {
        Some(_) => lease.granted / UNUSED_PART_OF_ROLLING,
        None => 0,
    };
    of_rolling.max(2 * lease.beforehand)
}
