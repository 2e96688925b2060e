//! Tables that are replaced while calls run, groups, and what cannot be counted.

use super::*;
use crate::budget::{Group, need::Uncounted};

#[test]
fn a_limit_with_another_amount_goes_on() {
    let table = |limit| BudgetTable::new().tenant("t", in_tokens(limit, day()));
    let mut accounts = accounts(table(100), 1);
    let taken = reserve(&mut accounts, "t", &tokens(80), START).expect("room");
    accounts.set_table(table(50), START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (0, 80));
    assert!(reserve(&mut accounts, "t", &tokens(1), START).is_err());
    settle(&mut accounts, &taken, &tokens(80), &tokens(20), START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (20, 0));
    assert!(reserve(&mut accounts, "t", &tokens(30), START).is_ok());
}

#[test]
fn a_longer_period_begins_with_what_is_known_of_it() {
    let table = |period| BudgetTable::new().tenant("t", in_tokens(100, period));
    let mut accounts = accounts(table(day()), 1);
    let settled = reserve(&mut accounts, "t", &tokens(30), START).expect("room");
    settle(&mut accounts, &settled, &tokens(30), &tokens(30), START);
    let running = reserve(&mut accounts, "t", &tokens(40), START).expect("room");
    accounts.set_table(table(Period::month(TimeZone::UTC)), START);
    // What runs counts by its estimate, and settles at the limit that has gone: nowhere.
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (70, 0));
    settle(&mut accounts, &running, &tokens(40), &tokens(90), START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (70, 0));
    // Nobody knows which part of the month belongs to the day.
    accounts.set_table(table(day()), START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (0, 0));
}

#[test]
fn a_call_settles_in_the_groups_where_it_has_reserved() {
    let group_of = |name: &str| {
        BudgetTable::new()
            .default_budget(in_tokens(1_000, day()))
            .group("one", Group::new(in_tokens(100, day())))
            .group("two", Group::new(in_tokens(100, day())))
            .group(name, Group::new(in_tokens(100, day())).tenants(["t"]))
    };
    let mut accounts = accounts(group_of("one"), 1);
    let taken = reserve(&mut accounts, "t", &tokens(60), START).expect("room");
    accounts.set_table(group_of("two"), START);
    assert!(reserve(&mut accounts, "t", &tokens(100), START).is_ok());
    settle(&mut accounts, &taken, &tokens(60), &tokens(10), START);
    assert_eq!(sums(&mut accounts, &group("one"), 0, START), (10, 0));
    assert_eq!(sums(&mut accounts, &group("two"), 0, START), (0, 100));
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (10, 100));
}

#[test]
fn a_group_that_has_gone_takes_no_settlement() {
    let with = BudgetTable::new().group("g", Group::new(in_tokens(100, day())).tenants(["t"]));
    let mut accounts = accounts(with.clone(), 1);
    let taken = reserve(&mut accounts, "t", &tokens(60), START).expect("room");
    accounts.set_table(BudgetTable::new(), START);
    accounts.set_table(with, START);
    settle(&mut accounts, &taken, &tokens(60), &tokens(60), START);
    assert_eq!(sums(&mut accounts, &group("g"), 0, START), (0, 0));
}

#[test]
fn nothing_is_taken_where_one_limit_does_not_fit() {
    let table = BudgetTable::new()
        .tenant("t", in_tokens(100, day()))
        .group("g", Group::new(in_tokens(100, day())).tenants(["t", "u"]))
        .group("top", Group::new(in_tokens(50, day())).groups(["g"]));
    let mut accounts = accounts(table, 1);
    let Err(Fault::Exceeded(exceeded)) = reserve(&mut accounts, "t", &tokens(60), START) else {
        panic!("it does not fit at the top");
    };
    assert_eq!(exceeded.owner, group("top"));
    for owner in [tenant("t"), group("g"), group("top")] {
        assert_eq!(sums(&mut accounts, &owner, 0, START), (0, 0), "{owner}");
    }
    let mut rejected = Vec::new();
    accounts.visit(START, |account| {
        rejected.push((account.owner.to_string(), account.rejected));
    });
    assert!(
        rejected.contains(&("group top".to_owned(), 1)),
        "{rejected:?}"
    );
}

#[test]
fn what_cannot_be_counted_in_money_is_rejected_or_counted() {
    let table = BudgetTable::new().tenant(
        "t",
        Budget::new(money("1 CNY"), day()).and(Amount::Tokens(10), day()),
    );
    let mut accounts = accounts(table, 1);
    let uncounted = |fault| match fault {
        Err(Fault::Uncounted(owner, why)) => (owner, why),
        other => panic!("{other:?}"),
    };
    let (budget, priced_in) = (money("0 CNY").currency(), money("0 USD").currency());
    let rejected = reserve(&mut accounts, "t", &priced("0.1 USD"), START);
    let no_rate = Uncounted::NoRate {
        priced: priced_in,
        budget,
    };
    assert_eq!(uncounted(rejected), (tenant("t"), no_rate));
    let rejected = reserve(&mut accounts, "t", &tokens(4), START);
    assert_eq!(
        uncounted(rejected),
        (tenant("t"), Uncounted::NoPrice { budget })
    );
    let mut admit = |need: Need| {
        let mode = (START, false);
        accounts.reserve("t", &need, &Rates::new(), Unpriced::Admit, mode)
    };
    let fit = admit(tokens(4)).expect("let through");
    assert!(fit.is_unpriced);
    // Tokens hold it all the same.
    assert!(matches!(admit(tokens(7)), Err(Fault::Exceeded(_))));
    settle(&mut accounts, &fit.taken, &tokens(4), &tokens(6), START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (0, 0));
    assert_eq!(sums(&mut accounts, &tenant("t"), 1, START), (6, 0));
    let mut unpriced = 0;
    accounts.visit(START, |account| unpriced += account.unpriced);
    assert_eq!(unpriced, 1);
    let rates = Rates::new()
        .with(priced_in, budget, "7", "2026-11-29")
        .expect("a rate");
    let fit = accounts.reserve(
        "t",
        &priced("0.1 USD"),
        &rates,
        Unpriced::Reject,
        (START, false),
    );
    assert!(fit.is_ok());
    let reserved = money("0.7 CNY").pico().unsigned_abs();
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (0, reserved));
}

#[test]
fn by_force_it_is_taken_above_the_limit() {
    let table = BudgetTable::new().tenant("t", in_tokens(10, day()));
    let mut accounts = accounts(table, 1);
    let need = tokens(25);
    let fit = accounts
        .reserve("t", &need, &Rates::new(), Unpriced::Reject, (START, true))
        .expect("forced");
    assert!(matches!(fit.over, Some(Fault::Exceeded(_))));
    settle(&mut accounts, &fit.taken, &need, &need, START);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, START), (25, 0));
}
