//! The accounts of budgets without lock and clock.

mod changes;
#[cfg(feature = "redis")]
mod fleet;
#[cfg(feature = "redis")]
mod fleet_load;
#[cfg(feature = "redis")]
mod fleet_rolling;
mod laws;
mod memory;
mod periods;

use std::time::Duration;

use tower_qwen_tokens::Money;

use super::{
    Amount, Budget, BudgetOwner, BudgetTable, Rates, Unpriced,
    accounts::{Accounts, Fault, Taken},
    need::Need,
};
use crate::{
    period::{Period, TimeZone},
    units::{Nanos, nanos},
};

/// 2026-11-29 00:00 UTC, a Sunday.
const START: Nanos = 1_795_910_400_000_000_000;

fn hours(count: u64) -> Nanos {
    nanos(Duration::from_secs(count * 3_600))
}

fn day() -> Period {
    Period::day(TimeZone::UTC)
}

fn tokens(tokens: u64) -> Need {
    Need::of_request(tokens, 0, None)
}

fn money(text: &str) -> Money {
    text.parse().expect("money")
}

fn priced(cost: &str) -> Need {
    Need::of_request(1, 0, Some(money(cost)))
}

/// Reserves without rates; calls without a price are rejected where a budget is in money.
fn reserve(accounts: &mut Accounts, tenant: &str, need: &Need, now: Nanos) -> Result<Taken, Fault> {
    let fit = accounts.reserve(tenant, need, &Rates::new(), Unpriced::Reject, (now, false))?;
    Ok(fit.taken)
}

fn settle(accounts: &mut Accounts, taken: &Taken, reserved: &Need, actual: &Need, now: Nanos) {
    accounts.settle(taken, (reserved, actual), &Rates::new(), now);
}

/// Spent and reserved of an owner's limit, by its place in the budget.
fn sums(accounts: &mut Accounts, owner: &BudgetOwner, limit: usize, now: Nanos) -> (u128, u128) {
    let mut found = None;
    accounts.visit(now, |account| {
        if account.owner == *owner {
            let total = account.counters[limit].total();
            found = Some((total.spent, total.reserved));
        }
    });
    found.unwrap_or_default()
}

fn tenant(name: &str) -> BudgetOwner {
    BudgetOwner::Tenant(name.into())
}

fn group(name: &str) -> BudgetOwner {
    BudgetOwner::Group(name.into())
}

fn in_tokens(limit: u64, period: Period) -> Budget {
    Budget::new(Amount::Tokens(limit), period)
}

fn accounts(table: BudgetTable, max_tenants: usize) -> Accounts {
    assert_eq!(table.check(), Ok(()));
    Accounts::new(table, None, max_tenants, START)
}
