/// What happens to a call of a model without a price where a budget is in money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unpriced {
    /// It is rejected ([`BudgetError::NoPrice`](super::BudgetError::NoPrice)).
    #[default]
    Reject,
    /// It goes, and is counted as `unpriced`. Limits in tokens hold it all the same.
    Admit,
}
