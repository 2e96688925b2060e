//! Amounts of budgets that a process takes from a store: the seam between budgets and their fleet.

use std::{fmt, sync::Weak, time::Duration};

use crate::sharing::OutagePolicy;

/// Budgets as their fleet sees them: the seam between the two.
///
/// A process holds amounts of its limits, and serves calls from them. What it lacks it takes from the
/// store by a report: one for all limits and calls at one time, and one at a time, so that what the
/// store says of a limit is never older than what the process knows.
pub(crate) trait LeasedBudgets: fmt::Debug + Send + Sync {
    /// What is to be reported now, by one of so many processes. `None` where nothing is, or a report is
    /// under way: its end asks again.
    fn next_report(&self, members: u64) -> Option<LeaseReport>;

    /// The answer to the report of this number; `None` where there is none.
    fn on_report_end(&self, number: u64, reply: Option<LeaseReply>);

    /// The store does not answer.
    fn on_store_away(&self);

    /// The store answers again.
    fn on_store_back(&self);
}

/// The fleet as its budgets see it. When the last one is gone, so is the store's end.
pub(crate) trait AmountStore: fmt::Debug + Send + Sync {
    /// A number for budgets, unique within the process.
    fn next_holder(&self) -> u64;

    /// Processes that live, at least 1.
    fn members(&self) -> u64;

    fn outage_policy(&self) -> OutagePolicy;

    /// How long an answer may take.
    fn timeout(&self) -> Duration;

    /// How many calls may wait.
    fn capacity(&self) -> usize;

    /// There is something to report.
    fn request_report(&self);

    /// The last report of budgets that are gone.
    fn push_last_report(&self, report: LeaseReport);

    /// Budgets join. Returns whether the store is away.
    fn join(&self, budgets: Weak<dyn LeasedBudgets>) -> bool;
}

/// What a process reports of its limits, and what its calls need.
#[derive(Debug)]
pub(crate) struct LeaseReport {
    /// Whose it is, beside the process: a process may have several budgets.
    pub(crate) holder: u64,
    /// By this number the store recognises a report that comes late or twice.
    pub(crate) number: u64,
    /// What is taken beforehand: what is left, divided by this; nothing where another call needs more.
    pub(crate) parts: u64,
    pub(crate) limits: Vec<LeasedLimit>,
    /// For each call its limits, by their places, and what it needs of each.
    pub(crate) calls: Vec<Vec<(usize, u64)>>,
}

/// One limit, in one calendar period or in a rolling one. Amounts are in the store's units.
#[derive(Debug)]
pub(crate) struct LeasedLimit {
    /// The limit's name at the store.
    pub(crate) name: String,
    pub(crate) limit: u64,
    /// What the process was granted, as the store said last.
    pub(crate) known: u64,
    /// What it goes on with.
    pub(crate) granted: u64,
    /// What its calls use of that.
    pub(crate) used: u64,
    /// The life of the store's sum, the sum, and the part of it that is of earlier lives, as the store
    /// said last.
    pub(crate) life: u64,
    pub(crate) all: u64,
    pub(crate) earlier: u64,
    /// More is taken beforehand, also without a call that needs it.
    pub(crate) runs_low: bool,
    /// How long the store keeps it; `None`: for ever.
    pub(crate) stored_for: Option<Duration>,
    /// After how long without a report the store forgets what a process holds of a rolling period; `None`:
    /// never.
    pub(crate) forgotten_after: Option<Duration>,
}

/// What the store answers.
#[derive(Debug)]
pub(crate) struct LeaseReply {
    /// When the store's memory began.
    pub(crate) began: u64,
    pub(crate) limits: Vec<LeasedAmount>,
    /// For each call whether it fits.
    pub(crate) fits: Vec<bool>,
}

/// One limit, as the store knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeasedAmount {
    /// What the process is granted in this period, in all; of a rolling period at any time.
    pub(crate) granted: u64,
    /// What all processes are, and the part of it that is of earlier lives of the store's sum.
    pub(crate) all: u64,
    pub(crate) earlier: u64,
    pub(crate) life: u64,
}
