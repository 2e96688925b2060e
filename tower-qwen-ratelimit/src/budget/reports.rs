//! Budgets of a fleet: calls that wait for the store, and the reports by which it answers.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    BudgetError,
    accounts::{Accounts, Fault},
    call::BudgetedCall,
    granted::Granted,
    lease::{Outage, ReportReason},
    leases::{ReportDraft, ReportedLimit},
    listed::Leases,
    prices::Prices,
    shared::{EndOfBudgets, SharedBudgets},
};
use crate::{
    leased_amounts::{AmountStore, LeaseReply, LeaseReport, LeasedBudgets},
    units::Nanos,
};

/// What is left is divided by the processes, and each takes a quarter of its part beforehand: a budget
/// of 500 calls, shared by four, is used up in some 70 reports of single calls, and in less where calls
/// come together.
const QUARTERS: u64 = 4;
/// How often it is looked through what the process holds, to give back what is idle.
const TIMER: Nanos = 1_000_000_000;
/// How often calls that need more take along what other limits run low of: each time is a walk over all
/// that the process holds.
const ALONG: Nanos = 50_000_000;
/// The longest time without a report: it shows whether the store still knows what it did.
const LONGEST: Nanos = 10_000_000_000;
/// The most calls of one report.
const MOST_CALLS: usize = 512;

/// What budgets share with other processes, and how.
#[derive(Debug)]
pub(super) struct BudgetFleet {
    store: Arc<dyn AmountStore>,
    // Weak: they own it.
    budgets: OnceLock<Weak<SharedBudgets>>,
    /// By this the store knows these budgets, beside the process.
    holder: u64,
    // Lock order: the accounts, then this.
    state: Mutex<ReportState>,
}

#[derive(Debug, Default)]
struct ReportState {
    waiting: VecDeque<WaitingCall>,
    under_way: Option<ReportUnderWay>,
    number: u64,
    looked_through_at: Nanos,
    taken_along_at: Nanos,
    reported_at: Nanos,
    /// When the store's memory began, as it said last; 0: it has said nothing.
    began: u64,
}

#[derive(Debug)]
struct ReportUnderWay {
    number: u64,
    parts: u64,
    places: Vec<ReportedLimit>,
    calls: Vec<WaitingCall>,
}

/// A call that the process has too little for.
#[derive(Debug)]
pub(super) struct WaitingCall {
    pub(super) tenant: Arc<str>,
    pub(super) call: BudgetedCall,
    pub(super) prices: Arc<Prices>,
    pub(super) is_shadow: bool,
    pub(super) reply: oneshot::Sender<Result<Granted, BudgetError>>,
}

impl BudgetFleet {
    pub(super) fn new(store: Arc<dyn AmountStore>) -> Self {
        Self {
            holder: store.next_holder(),
            store,
            budgets: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    /// The budgets join the fleet.
    pub(super) fn join(self: &Arc<Self>, budgets: &Arc<SharedBudgets>) {
        // Once, when they are built.
        let _ = self.budgets.set(Arc::downgrade(budgets));
        let this: Weak<Self> = Arc::downgrade(self);
        if self.store.join(this) {
            self.store_is_late(budgets);
        }
    }

    fn budgets(&self) -> Option<Arc<SharedBudgets>> {
        self.budgets.get().and_then(Weak::upgrade)
    }

    /// The store has not answered in time: it counts as away until it answers.
    pub(super) fn store_is_late(&self, budgets: &SharedBudgets) {
        let outage = Outage {
            policy: self.store.outage_policy(),
            processes: self.store.members(),
        };
        if let Some(leases) = &mut budgets.accounts().leases {
            leases.outage.get_or_insert(outage);
        }
    }

    /// The longest that a call waits: an answer takes the timeout at most, and the one that is under way
    /// comes first.
    pub(super) fn patience(&self) -> Duration {
        self.store.timeout() * 2
    }

    /// A call waits for the next report. Where too many do, its end of the channel is dropped.
    pub(super) fn wait(&self, call: WaitingCall) {
        let mut state = self.lock();
        if state.waiting.len() < self.store.capacity() {
            state.waiting.push_back(call);
        }
        let is_under_way = state.under_way.is_some();
        drop(state);
        // The end of the report under way makes the next one.
        if !is_under_way {
            self.store.request_report();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReportState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How calls and limits meet the store. Of the fleet, and not of the budgets, which know nothing of it.
impl BudgetFleet {
    /// Reserves for calls that have waited. Those that have to wait again come first next time.
    fn serve(&self, budgets: &Arc<SharedBudgets>, calls: Vec<(WaitingCall, Answered)>) {
        let mut again = Vec::new();
        for (waiting, answered) in calls {
            if waiting.reply.is_closed() {
                continue;
            }
            let WaitingCall {
                tenant,
                call,
                prices,
                is_shadow,
                reply,
            } = waiting;
            if answered == Answered::TooLittle {
                let now = budgets.now();
                budgets
                    .accounts()
                    .give_back_rests(&tenant, &call.need, &prices.rates, now);
            }
            let now = budgets.now();
            match budgets.reserve(&tenant, &call.need, &prices.rates, is_shadow, now) {
                Err(Fault::Unleased(_)) => again.push(WaitingCall {
                    tenant,
                    call,
                    prices,
                    is_shadow,
                    reply,
                }),
                fit => {
                    let granted = budgets.finish(fit, (&tenant, call), prices, is_shadow);
                    // Nobody waits any longer: what was reserved comes back by its drop.
                    let _ = reply.send(granted);
                }
            }
        }
        let mut state = self.lock();
        for call in again.into_iter().rev() {
            state.waiting.push_front(call);
        }
    }

    fn make_report(
        &self,
        accounts: &mut Accounts,
        (members, reason): (u64, ReportReason),
        now: Nanos,
    ) -> Option<LeaseReport> {
        let mut state = self.lock();
        if state.under_way.is_some() {
            return None;
        }
        let mut draft = ReportDraft::default();
        let mut calls = Vec::new();
        while calls.len() < MOST_CALLS
            && let Some(waiting) = state.waiting.pop_front()
        {
            if waiting.reply.is_closed() {
                continue;
            }
            let whose = (&*waiting.tenant, &waiting.call.need);
            if !accounts.add_call(&mut draft, whose, &waiting.prices.rates, now) {
                state.waiting.push_front(waiting);
                break;
            }
            calls.push(waiting);
        }
        // A clock that was set back makes it due.
        let is_due = |since: Nanos, interval| now.saturating_sub(since) >= interval || now < since;
        let is_time = reason == ReportReason::End || is_due(state.looked_through_at, TIMER);
        // What finds no room in this report goes with the next one, at once.
        if is_time && accounts.add_due(&mut draft, reason, now) {
            state.looked_through_at = now;
        }
        if !is_time && !calls.is_empty() && is_due(state.taken_along_at, ALONG) {
            accounts.add_due(&mut draft, ReportReason::Calls, now);
            state.taken_along_at = now;
        }
        if draft.is_empty() && !is_due(state.reported_at, LONGEST) {
            return None;
        }
        if draft.is_empty() && reason == ReportReason::End {
            return None;
        }
        state.reported_at = now;
        state.number += 1;
        let number = state.number;
        let parts = members.max(1).saturating_mul(QUARTERS);
        if reason != ReportReason::End {
            state.under_way = Some(ReportUnderWay {
                number,
                parts,
                places: draft.places,
                calls,
            });
        }
        Some(LeaseReport {
            holder: self.holder,
            number,
            parts,
            limits: draft.limits,
            calls: draft.calls,
        })
    }
}

/// What the store has said of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Fits,
    TooLittle,
    Nothing,
}

impl LeasedBudgets for BudgetFleet {
    fn next_report(&self, members: u64) -> Option<LeaseReport> {
        let budgets = self.budgets()?;
        let now = budgets.now();
        self.make_report(&mut budgets.accounts(), (members, ReportReason::Timer), now)
    }

    fn on_report_end(&self, number: u64, reply: Option<LeaseReply>) {
        let Some(budgets) = self.budgets() else {
            return;
        };
        // Under both locks: the next report says what this one has brought.
        let mut accounts = budgets.accounts();
        let mut state = self.lock();
        let is_it = |under_way: &mut ReportUnderWay| under_way.number == number;
        let Some(ended) = state.under_way.take_if(is_it) else {
            return;
        };
        let Some(reply) = reply else {
            for call in ended.calls.into_iter().rev() {
                state.waiting.push_front(call);
            }
            return;
        };
        let is_new = mem::replace(&mut state.began, reply.began) != reply.began;
        if is_new {
            accounts.report_all();
            state.looked_through_at = 0;
        }
        accounts.end_report(&ended.places, &reply, ended.parts, budgets.now());
        if let Some(leases) = &mut accounts.leases {
            leases.outage = None;
        }
        drop((accounts, state));
        let answered = reply.fits.iter().map(|fits| match fits {
            true => Answered::Fits,
            false => Answered::TooLittle,
        });
        self.serve(&budgets, ended.calls.into_iter().zip(answered).collect());
    }

    fn on_store_away(&self) {
        let Some(budgets) = self.budgets() else {
            return;
        };
        self.store_is_late(&budgets);
        let waiting = mem::take(&mut self.lock().waiting);
        let waiting = waiting.into_iter().map(|call| (call, Answered::Nothing));
        self.serve(&budgets, waiting.collect());
    }

    fn on_store_back(&self) {
        let Some(budgets) = self.budgets() else {
            return;
        };
        let mut accounts = budgets.accounts();
        self.lock().looked_through_at = 0;
        // It may be another server, or one that has lost its memory.
        accounts.report_all();
        if let Some(leases) = &mut accounts.leases {
            leases.outage = None;
        }
        drop(accounts);
        self.store.request_report();
    }
}

/// The end of budgets at their store.
#[derive(Debug)]
pub(super) struct BudgetsEnd(pub(super) Arc<BudgetFleet>);

impl EndOfBudgets for BudgetsEnd {
    /// What is left comes back.
    fn end(&self, accounts: &mut Accounts, now: Nanos) {
        let Self(fleet) = self;
        let is_away = |leases: &Leases| leases.outage.is_some();
        if accounts.leases.as_ref().is_none_or(is_away) {
            return;
        }
        // A report under way comes first at the store: what it brings comes back as well.
        fleet.lock().under_way = None;
        let members = fleet.store.members();
        while let Some(report) = fleet.make_report(accounts, (members, ReportReason::End), now) {
            fleet.store.push_last_report(report);
        }
    }
}
