use std::{fmt, time::SystemTime};

use crate::period::Period;

use super::{Amount, BudgetError, BudgetOwner};

/// An event of budgets.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BudgetEvent<'a> {
    /// A line is reached ([`Budget::notify_at`](super::Budget::notify_at)): once for each line and
    /// period.
    #[non_exhaustive]
    LineReached {
        /// Whose budget it is.
        owner: &'a BudgetOwner,
        /// The line.
        line: Amount,
        /// The limit above it.
        limit: Amount,
        /// Its period.
        period: Period,
        /// What is spent.
        spent: Amount,
        /// When the budget begins anew; `None`: never.
        resets_at: Option<SystemTime>,
    },
    /// A call was rejected, or would have been in shadow mode.
    #[non_exhaustive]
    Rejected {
        /// The tenant of the call; empty without one.
        tenant: &'a str,
        /// Why.
        error: &'a BudgetError,
        /// The call goes through all the same.
        is_shadow: bool,
    },
    /// A call of a model without a price was let through a budget in money
    /// ([`Unpriced::Admit`](super::Unpriced::Admit)).
    #[non_exhaustive]
    Unpriced {
        /// The tenant of the call; empty without one.
        tenant: &'a str,
        /// The model; empty where the request was not read.
        model: &'a str,
    },
}

/// Receives the events of budgets.
///
/// It is called on the path of calls, also from drops, and never under a lock of the budgets: it must
/// neither block nor panic, and it may read the budgets. Any closure over [`BudgetEvent`] is one.
pub trait BudgetObserver: Send + Sync {
    /// Called with every event, in the thread in which it happens.
    fn on_event(&self, event: &BudgetEvent<'_>);
}

impl<F: Fn(&BudgetEvent<'_>) + Send + Sync> BudgetObserver for F {
    fn on_event(&self, event: &BudgetEvent<'_>) {
        self(event);
    }
}

/// All observers of budgets.
#[derive(Clone, Default)]
pub(super) struct BudgetObservers(tower_qwen_tokens::internal::Observers<dyn BudgetObserver>);

impl BudgetObservers {
    pub(super) fn push(&mut self, observer: std::sync::Arc<dyn BudgetObserver>) {
        self.0.push(observer);
    }

    pub(super) fn emit(&self, event: &BudgetEvent<'_>) {
        self.0.for_each(|observer| observer.on_event(event));
    }
}

impl fmt::Debug for BudgetObservers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
