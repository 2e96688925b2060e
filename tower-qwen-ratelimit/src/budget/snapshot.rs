use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Amount, BudgetOwner};

/// All limits at one instant. It can be written with serde, and be given to
/// [`Budgets::restore`](super::Budgets::restore) by a later process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetsSnapshot {
    /// One for each limit of each owner, in no particular order.
    pub limits: Vec<BudgetLimitSnapshot>,
}

/// One limit at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BudgetLimitSnapshot {
    /// Whose it is.
    pub owner: BudgetOwner,
    /// The most that may be spent in a period.
    pub limit: Amount,
    /// The period, as [`Period`](crate::period::Period) writes itself: `day +08:00`, `3600s`.
    pub period: String,
    /// Spent in the current period; in a fleet, by this process.
    pub spent: Amount,
    /// Held by calls under way.
    pub reserved: Amount,
    /// When the period ends; of a rolling one when something next leaves it. `None`: never, or there is
    /// nothing.
    pub resets_at: Option<SystemTime>,
    /// Calls of the owner, so far, that a limit in money could not count.
    pub unpriced: u64,
    /// Calls, so far, that did not fit into the owner's budget.
    pub rejected: u64,
    /// What was spent and reserved, and when: one part of a calendar period, several of a rolling one.
    pub parts: Vec<SpentPart>,
}

/// What was spent and reserved from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpentPart {
    /// The instant.
    pub at: SystemTime,
    /// So much.
    pub amount: Amount,
}
