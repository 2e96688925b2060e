//! What a process reports of all its limits, and what the store answers.

use std::collections::HashMap;

use super::{
    Rates,
    accounts::Accounts,
    amount::Unit,
    counter::LimitCounter,
    lease::ReportReason,
    listed::Leases,
    need::Need,
    places::{BudgetAccount, PlaceId},
};
use crate::{
    leased_amounts::{LeaseReply, LeasedLimit},
    period::Period,
    units::Nanos,
};

/// The most limits of one report: a script that runs for milliseconds holds the whole server up.
const MOST_LIMITS: usize = 512;

/// Where a limit is that was reported.
#[derive(Debug)]
pub(super) struct ReportedLimit {
    account: PlaceId,
    unit: Unit,
    period: Period,
    /// The first instant of its period.
    pub(super) start: Nanos,
    pub(super) reported_at: Nanos,
}

/// A report while it is made.
#[derive(Debug, Default)]
pub(super) struct ReportDraft {
    pub(super) limits: Vec<LeasedLimit>,
    pub(super) places: Vec<ReportedLimit>,
    pub(super) calls: Vec<Vec<(usize, u64)>>,
    known: HashMap<(PlaceId, usize), usize>,
}

impl Accounts {
    /// A fleet shares all limits from now on.
    pub(super) fn share(&mut self, now: Nanos) {
        self.leases = Some(Leases::default());
        for account in self.places.iter_mut() {
            let counters = account.counters.iter_mut();
            counters.for_each(|counter| counter.share(now));
        }
    }

    /// Adds what a call needs, unless the report is full.
    pub(super) fn add_call(
        &mut self,
        draft: &mut ReportDraft,
        (tenant, need): (&str, &Need),
        rates: &Rates,
        now: Nanos,
    ) -> bool {
        if draft.is_full() {
            return false;
        }
        let taken = self.path(tenant, now);
        let mut parts = Vec::new();
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            for at in 0..account.counters.len() {
                account.counters[at].advance(now);
                let unit = account.counters[at].unit;
                let needed = need.in_unit(unit, rates).unwrap_or(0);
                let place = draft.add((id, account), at, ReportReason::Calls, now);
                if let (Some(place), 1..) = (place, needed) {
                    parts.push((place, unit.to_store(needed)));
                }
            }
        }
        draft.calls.push(parts);
        true
    }

    /// Adds what is due of all limits of which the process may hold something. Whether all of it has found
    /// room.
    pub(super) fn add_due(
        &mut self,
        draft: &mut ReportDraft,
        reason: ReportReason,
        now: Nanos,
    ) -> bool {
        let Some(leases) = &mut self.leases else {
            return true;
        };
        let mut listed = std::mem::take(&mut leases.listed);
        let (mut kept, mut first_left) = (0, None);
        listed.retain(|&id| {
            let Some(account) = self.places.get(id) else {
                return false;
            };
            let mut holds_any = false;
            for at in 0..account.counters.len() {
                let counter = &mut account.counters[at];
                counter.advance(now);
                holds_any |= !counter.is_empty() || counter.is_lacking();
                if !counter.is_report_due(reason, now) {
                    continue;
                }
                match draft.is_full() {
                    false => _ = draft.add((id, account), at, reason, now),
                    true => _ = first_left.get_or_insert(kept),
                }
            }
            account.is_listed = holds_any;
            kept += usize::from(holds_any);
            holds_any
        });
        // The next report begins there: else the first would be reported over and over, and leases of the
        // last lapse.
        let first = first_left.unwrap_or(0).min(listed.len());
        listed.rotate_left(first);
        if let Some(leases) = &mut self.leases {
            leases.listed = listed;
        }
        first_left.is_none()
    }

    /// The store may have lost what it knew: all of it is reported again.
    pub(super) fn report_all(&mut self) {
        for account in self.places.iter_mut() {
            let counters = account.counters.iter_mut();
            counters.for_each(LimitCounter::report_in_any_case);
        }
    }

    /// What the store has answered.
    pub(super) fn end_report(
        &mut self,
        places: &[ReportedLimit],
        reply: &LeaseReply,
        parts: u64,
        now: Nanos,
    ) {
        for (place, amount) in places.iter().zip(&reply.limits) {
            let Some(account) = self.places.get(place.account) else {
                continue;
            };
            let is_it = |counter: &&mut LimitCounter| {
                (counter.unit, counter.period) == (place.unit, place.period)
            };
            if let Some(counter) = account.counters.iter_mut().find(is_it) {
                counter.advance(now);
                counter.end_report(place, *amount, parts, now);
            }
            if let Some(leases) = self.leases.as_mut().filter(|_| !account.is_listed) {
                account.is_listed = true;
                leases.listed.push(place.account);
            }
        }
    }

    /// A call did not fit: what is left of the limits that lacked room comes back soon.
    pub(super) fn give_back_rests(&mut self, tenant: &str, need: &Need, rates: &Rates, now: Nanos) {
        for id in self.path(tenant, now).ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            for counter in &mut account.counters {
                let needed = need.in_unit(counter.unit, rates).unwrap_or(0);
                counter.give_back_rest(needed);
            }
        }
    }
}

impl ReportDraft {
    fn is_full(&self) -> bool {
        self.limits.len() >= MOST_LIMITS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.calls.is_empty()
    }

    /// Adds a limit, once. Returns its place.
    fn add(
        &mut self,
        (id, account): (PlaceId, &mut BudgetAccount),
        at: usize,
        reason: ReportReason,
        now: Nanos,
    ) -> Option<usize> {
        if let Some(&place) = self.known.get(&(id, at)) {
            return Some(place);
        }
        let owner = account.owner.clone();
        let counter = &mut account.counters[at];
        let start = counter.lease_start()?;
        let limit = counter.begin_report(&owner, reason, now)?;
        self.limits.push(limit);
        self.places.push(ReportedLimit {
            account: id,
            unit: counter.unit,
            period: counter.period,
            start,
            reported_at: now,
        });
        self.known.insert((id, at), self.places.len() - 1);
        Some(self.places.len() - 1)
    }
}
