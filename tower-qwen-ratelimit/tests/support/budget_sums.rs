//! What a budget holds, for tests.

use tower_qwen_ratelimit::{Budgets, budget::Amount};

/// Spent and reserved of an owner's first limit, in millionths of a dollar or tokens.
pub(crate) fn sums(budgets: &Budgets, name: &str) -> (i128, i128) {
    let snapshot = budgets.snapshot();
    let mut limits = snapshot.limits.iter();
    let limit = limits.find(|limit| limit.owner.name() == name);
    let count = |amount| match amount {
        Amount::Money(money) => money.pico() / 1_000_000,
        Amount::Tokens(tokens) => i128::from(tokens),
        _ => unreachable!(),
    };
    limit.map_or((0, 0), |limit| (count(limit.spent), count(limit.reserved)))
}
