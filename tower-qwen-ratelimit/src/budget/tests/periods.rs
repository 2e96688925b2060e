//! When amounts leave, and where calls settle that end later.

use super::*;

#[test]
fn a_call_over_midnight_settles_where_it_was_reserved() {
    let table = BudgetTable::new().tenant("t", in_tokens(100, day()));
    let mut accounts = accounts(table, 1);
    let late = START + hours(23);
    let taken = reserve(&mut accounts, "t", &tokens(80), late).expect("room");
    let next = START + hours(25);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, next), (0, 0));
    let other = reserve(&mut accounts, "t", &tokens(100), next).expect("the new day is empty");
    settle(&mut accounts, &taken, &tokens(80), &tokens(500), next);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, next), (0, 100));
    settle(&mut accounts, &other, &tokens(100), &tokens(60), next);
    assert_eq!(sums(&mut accounts, &tenant("t"), 0, next), (60, 0));
}

#[test]
fn a_rejection_says_when_the_call_fits() {
    let hour = Period::rolling(Duration::from_secs(3_600));
    let table = BudgetTable::new()
        .tenant("t", in_tokens(100, hour).and(Amount::Tokens(1_000), day()))
        .tenant("total", in_tokens(100, Period::total()));
    let mut accounts = accounts(table, 1);
    let exceeded = |accounts: &mut Accounts, name: &str, need: u64, now| match reserve(
        accounts,
        name,
        &tokens(need),
        now,
    ) {
        Err(Fault::Exceeded(exceeded)) => exceeded,
        other => panic!("{other:?}"),
    };
    for (need, now) in [(60, START), (30, START + hours(1) / 2)] {
        let taken = reserve(&mut accounts, "t", &tokens(need), now).expect("room");
        settle(&mut accounts, &taken, &tokens(need), &tokens(need), now);
    }
    let now = START + hours(1) / 2;
    let rejected = exceeded(&mut accounts, "t", 50, now);
    assert_eq!(rejected.spent, Amount::Tokens(90));
    assert_eq!(rejected.needed, Amount::Tokens(50));
    let wait = nanos(rejected.wait.expect("it comes free"));
    // Up to a 63rd of the hour late.
    assert!(
        (hours(1) / 2..=hours(1) / 2 + 2 * hours(1) / 63).contains(&wait),
        "{wait}"
    );
    assert!(reserve(&mut accounts, "t", &tokens(50), now + wait - 1).is_err());
    // 71 tokens need the second amount to leave too.
    let later = nanos(
        exceeded(&mut accounts, "t", 71, now)
            .wait
            .expect("it comes free"),
    );
    assert!(later > wait + hours(1) / 3, "{later}");
    assert!(reserve(&mut accounts, "t", &tokens(50), now + wait).is_ok());
    // More than the limit: never.
    assert_eq!(exceeded(&mut accounts, "t", 101, now).wait, None);
    assert!(reserve(&mut accounts, "total", &tokens(100), now).is_ok());
    assert_eq!(exceeded(&mut accounts, "total", 1, now).resets_at, None);
}

#[test]
fn of_several_limits_the_one_that_resets_last_is_named() {
    let table = BudgetTable::new().tenant(
        "t",
        in_tokens(10, Period::month(TimeZone::UTC)).and(Amount::Tokens(10), day()),
    );
    let mut accounts = accounts(table, 1);
    reserve(&mut accounts, "t", &tokens(10), START).expect("room");
    let Err(Fault::Exceeded(exceeded)) = reserve(&mut accounts, "t", &tokens(1), START) else {
        panic!("no room");
    };
    assert_eq!(exceeded.period, Period::month(TimeZone::UTC));
    assert_eq!(exceeded.wait, Some(Duration::from_nanos(hours(48))));
}

#[test]
fn lines_are_reported_once_a_period() {
    let budget = in_tokens(100, day())
        .notify_at(Amount::Tokens(50))
        .notify_at(Amount::Tokens(80));
    let mut accounts = accounts(BudgetTable::new().tenant("t", budget), 1);
    let mut spend = |need: u64, now| {
        let taken = reserve(&mut accounts, "t", &tokens(need), now).expect("room");
        let needs = (&tokens(need), &tokens(need));
        let reached = accounts.settle(&taken, needs, &Rates::new(), now);
        reached.iter().map(|line| line.line).collect::<Vec<_>>()
    };
    let (fifty, eighty) = (Amount::Tokens(50), Amount::Tokens(80));
    assert_eq!(spend(49, START), []);
    assert_eq!(spend(1, START), [fifty]);
    assert_eq!(spend(20, START), []);
    assert_eq!(spend(10, START), [eighty]);
    assert_eq!(spend(90, START + hours(24)), [fifty, eighty]);
}
