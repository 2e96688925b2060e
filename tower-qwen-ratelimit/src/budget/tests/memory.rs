//! Tenants that nobody has named take bounded memory.

use super::*;
use crate::budget::Group;

#[test]
fn idle_tenants_leave_and_further_ones_share_one_budget() {
    let table = BudgetTable::new()
        .default_budget(in_tokens(10, day()))
        .group("all", Group::new(in_tokens(100_000, day())).everyone());
    let mut accounts = accounts(table, 100);
    for number in 0..1_000 {
        let name = number.to_string();
        let taken = reserve(&mut accounts, &name, &tokens(1), START);
        // What 100 have spent today is information; the others share one budget.
        if let Ok(taken) = taken {
            settle(&mut accounts, &taken, &tokens(1), &tokens(1), START);
        }
    }
    // One for the group, one for all further tenants.
    assert_eq!(accounts.places.len(), 102);
    assert_eq!(
        sums(&mut accounts, &BudgetOwner::Overflow, 0, START),
        (10, 0)
    );
    assert_eq!(sums(&mut accounts, &group("all"), 0, START), (110, 0));
    // On the next day none of it matters.
    let next = START + hours(24);
    for number in 0..1_000 {
        let name = format!("new {number}");
        let taken = reserve(&mut accounts, &name, &tokens(1), next).expect("a place of its own");
        let nothing = tokens(1).nothing();
        settle(&mut accounts, &taken, &tokens(1), &nothing, next);
    }
    assert_eq!(sums(&mut accounts, &BudgetOwner::Overflow, 0, next), (0, 0));
    assert!(accounts.places.len() <= 102);
}

#[test]
fn a_tenant_without_a_limit_takes_no_memory() {
    let table = BudgetTable::new().tenant("t", in_tokens(10, day()));
    let mut accounts = accounts(table, 1);
    for number in 0..1_000 {
        let taken = reserve(&mut accounts, &number.to_string(), &tokens(u64::MAX), START);
        settle(
            &mut accounts,
            &taken.expect("no limit"),
            &tokens(9),
            &tokens(9),
            START,
        );
    }
    assert_eq!(accounts.places.len(), 1);
}
