//! The watch over a day's spending.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::advance;
use tower_qwen_tokens::{
    Ledger, Money, PriceBook, Usage,
    ledger::{Amount, Basis, Budget, BudgetAlert, Day, End, Entry, MemorySink},
};

use crate::entry;

const DAY: Duration = Duration::from_secs(86_400);

type Heard = Arc<Mutex<Vec<BudgetAlert>>>;

fn money(text: &str) -> Money {
    text.parse().expect("an amount")
}

/// A ledger with this budget, and what the budget tells.
fn watched(budget: Budget) -> (Ledger, Arc<Budget>, Heard) {
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    let budget = budget.on_alert(move |alert| told.lock().expect("lock").push(*alert));
    let budget = Arc::new(budget);
    let ledger = Ledger::default().with_sink(budget.clone());
    (ledger, budget, heard)
}

fn heard(heard: &Heard) -> Vec<(Amount, Amount, bool)> {
    let alert = std::mem::take(&mut *heard.lock().expect("lock"));
    alert
        .into_iter()
        .map(|alert| (alert.threshold, alert.spent, alert.is_limit))
        .collect()
}

/// 0.2 US dollars a million.
fn million() -> Entry {
    entry("qwen2", 1_000_000, 0)
}

#[tokio::test(start_paused = true)]
async fn each_line_is_told_once_a_day() {
    let (limit, line) = (money("0.5 USD"), money("0.3 USD"));
    let (ledger, budget, told) = watched(Budget::per_day(limit).notify_at(line));
    ledger.record(&million());
    assert_eq!(heard(&told), []);
    assert!(budget.check().is_ok());

    ledger.record(&million());
    let spent = Amount::Money(money("0.4 USD"));
    assert_eq!(heard(&told), [(line.into(), spent, false)]);
    assert!(!budget.is_exceeded());

    ledger.record(&million());
    let spent = Amount::Money(money("0.6 USD"));
    assert_eq!(heard(&told), [(limit.into(), spent, true)]);
    let exceeded = budget.check().expect_err("used up");
    assert_eq!((exceeded.limit, exceeded.spent), (limit.into(), spent));
    assert_eq!(exceeded.until, budget.spent().day.end());
    assert_eq!(
        exceeded.to_string(),
        "today's budget of 0.5 USD is used up: 0.6 USD"
    );

    ledger.record(&million());
    assert_eq!(heard(&told), []);
    assert!(budget.is_exceeded());
}

#[tokio::test(start_paused = true)]
async fn a_line_is_reached_exactly() {
    let (ledger, budget, told) = watched(Budget::per_day(money("0.2 USD")));
    ledger.record(&entry("qwen2", 999_999, 0));
    assert!(!budget.is_exceeded());
    ledger.record(&entry("qwen2", 1, 0));
    assert!(budget.is_exceeded());
    assert_eq!(heard(&told).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_day_begins_at_midnight_utc() {
    let last = Arc::new(MemorySink::new(1));
    let (ledger, budget, told) = watched(Budget::per_day(Amount::Tokens(10)));
    let ledger = ledger.with_sink(last.clone());
    ledger.record(&entry("m", 10, 0));
    assert!(budget.is_exceeded());
    assert_eq!(heard(&told).len(), 1);

    let today = budget.spent().day;
    let now = last.records()[0].at.expect("a clock");
    assert_eq!(Day::of(now), today);
    // The ledger's clock and the budget's were set one after the other.
    let left = today.end().duration_since(now).expect("later");
    let slack = Duration::from_secs(1).min(left / 2);
    advance(left - slack).await;
    assert!(budget.is_exceeded());
    assert_eq!(budget.spent().day, today);

    advance(slack * 2).await;
    assert!(!budget.is_exceeded());
    let spent = budget.spent();
    assert!(spent.day > today);
    assert_eq!((spent.tokens, spent.money.len()), (0, 0));

    ledger.record(&entry("m", 11, 0));
    assert_eq!(
        heard(&told),
        [(Amount::Tokens(10), Amount::Tokens(11), true)]
    );
    advance(DAY).await;
    ledger.record(&entry("m", 9, 0));
    assert_eq!(heard(&told), []);
    assert!(!budget.is_exceeded());
}

#[tokio::test(start_paused = true)]
async fn any_limit_stops() {
    let (ledger, budget, told) =
        watched(Budget::per_day(money("1 USD")).or(Amount::Tokens(1_500_000)));
    ledger.record(&million());
    assert!(!budget.is_exceeded());
    ledger.record(&million());
    let exceeded = budget.check().expect_err("tokens are used up");
    assert_eq!(exceeded.limit, Amount::Tokens(1_500_000));
    assert_eq!(heard(&told).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_before_counts() {
    let budget = Budget::per_day(Amount::Tokens(10))
        .notify_at(Amount::Tokens(5))
        .already_spent(Amount::Tokens(7));
    let (ledger, budget, told) = watched(budget);
    assert!(!budget.is_exceeded());
    ledger.record(&entry("m", 1, 1));
    assert_eq!(heard(&told), [], "the lower threshold was reached before");
    ledger.record(&entry("m", 1, 0));
    assert!(budget.is_exceeded());
    assert_eq!(heard(&told).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_spend_is_exceeded_from_the_start() {
    assert!(Budget::per_day(Amount::Tokens(0)).is_exceeded());
    assert!(Budget::per_day(money("0 USD")).is_exceeded());
    assert!(!Budget::per_day(Amount::Tokens(1)).is_exceeded());
}

#[tokio::test(start_paused = true)]
async fn currencies_are_never_converted_and_what_is_not_counted_shows() {
    let budget = Arc::new(Budget::per_day(money("0.1 CNY")));
    let book = PriceBook::builtin();
    let ledger = Ledger::new(book).with_sink(budget.clone());
    ledger.record(&million());
    assert!(!budget.is_exceeded());
    let spent = budget.spent();
    assert_eq!((spent.uncounted, spent.money), (1, vec![money("0.2 USD")]));
    ledger.record(&entry("unknown model", 5, 0));
    ledger.record(&Entry::unanswered("qwen2", End::Failed));
    assert_eq!(budget.spent().uncounted, 3);
    let mut refused = Entry::new("qwen2", Usage::default(), Basis::Unknown, End::Complete);
    refused.status = Some(http::StatusCode::TOO_MANY_REQUESTS);
    ledger.record(&refused);
    assert_eq!(budget.spent().uncounted, 3, "a refusal costs nothing");
    assert_eq!(budget.spent().tokens, 1_000_005);

    let tokens = Arc::new(Budget::per_day(Amount::Tokens(1)));
    let ledger = Ledger::default().with_sink(tokens.clone());
    ledger.record(&entry("unknown model", 5, 0));
    assert_eq!(tokens.spent().uncounted, 0, "tokens need no price");
}

#[tokio::test(start_paused = true)]
async fn threads_pass_a_line_once() {
    let (ledger, budget, told) = watched(Budget::per_day(Amount::Tokens(1_000)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    ledger.record(&entry("m", 1, 0));
                }
            });
        }
    });
    assert_eq!(heard(&told).len(), 1);
    assert_eq!(budget.spent().tokens, 2_000);
}
