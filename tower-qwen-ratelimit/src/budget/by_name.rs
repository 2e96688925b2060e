use std::fmt;

use super::Budget;

/// The budgets of tenants, where no table has them.
pub(crate) trait BudgetsByName: fmt::Debug + Send + Sync {
    /// Called under the lock of the accounts.
    fn budget(&self, name: &str) -> Budget;
}
