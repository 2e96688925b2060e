use std::time::Duration;

use http::StatusCode;
use tower_qwen_tokens::{
    Cause, Ledger, PriceBook, Usage,
    ledger::{Basis, End, Entry, Totals},
    price::{Price, Region},
};

use crate::entry;

#[test]
fn sums_by_model_and_over_all() {
    let ledger = Ledger::new(PriceBook::builtin());
    let mut detailed = entry("qwen-plus", 1_000, 200);
    detailed.usage.cached_tokens = Some(500);
    detailed.usage.cache_write_tokens = Some(100);
    detailed.usage.reasoning_tokens = Some(0);
    ledger.record(&detailed);
    ledger.record(&entry("qwen-plus", 10, 1));
    ledger.record(&entry("qwen2", 1_000_000, 0));

    let snapshot = ledger.snapshot();
    let plus = &snapshot.models["qwen-plus"];
    assert_eq!(
        (plus.calls, plus.input_tokens, plus.output_tokens),
        (2, 1_010, 201)
    );
    assert_eq!((plus.cached_tokens, plus.cache_write_tokens), (500, 100));
    assert_eq!(snapshot.models["qwen2"].cost[0].to_string(), "0.2 USD");
    assert_eq!(snapshot.total.calls, 3);
    assert_eq!(snapshot.total.input_tokens, 1_001_010);
    let sum: i128 = snapshot
        .models
        .values()
        .map(|totals| totals.cost[0].pico())
        .sum();
    assert_eq!(snapshot.total.cost[0].pico(), sum);
}

#[test]
fn each_outcome_is_counted_where_it_belongs() {
    let count = |change: fn(&mut Entry)| {
        let ledger = Ledger::default();
        let mut entry = Entry::new("qwen-plus", Usage::default(), Basis::Unknown, End::Complete);
        change(&mut entry);
        ledger.record(&entry);
        let total = ledger.snapshot().total;
        assert_eq!(total.calls, 1);
        (
            total.failed,
            total.cancelled,
            total.estimated,
            total.unknown,
        )
    };
    assert_eq!(count(|_| {}), (0, 0, 0, 1));
    assert_eq!(count(|entry| entry.basis = Basis::Reported), (0, 0, 0, 0));
    assert_eq!(count(|entry| entry.basis = Basis::Estimated), (0, 0, 1, 0));
    assert_eq!(count(|entry| entry.end = End::Cancelled), (0, 1, 0, 1));
    assert_eq!(count(|entry| entry.end = End::Failed), (1, 0, 0, 1));
    let refused = |entry: &mut Entry| entry.status = Some(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(count(refused), (1, 0, 0, 0));
    let broken = |entry: &mut Entry| entry.status = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(count(broken), (1, 0, 0, 0));
    assert_eq!(
        count(|entry| entry.cause = Some(Cause::TokenRate)),
        (1, 0, 0, 0)
    );
    assert_eq!(
        count(|entry| *entry = Entry::unanswered("m", End::Failed)),
        (1, 0, 0, 1)
    );
    assert_eq!(
        count(|entry| *entry = Entry::unanswered("m", End::Cancelled)),
        (0, 1, 0, 1)
    );
}

#[test]
fn unpriced_calls_are_counted_and_never_free() {
    let ledger = Ledger::new(PriceBook::empty());
    ledger.record(&entry("qwen-plus", 1, 1));
    ledger.record(&Entry::unanswered("qwen-plus", End::Failed));
    let total = ledger.snapshot().total;
    assert_eq!((total.calls, total.unpriced_calls), (2, 1));
    assert!(total.cost.is_empty());
}

#[test]
fn currencies_stay_apart() -> Result<(), Box<dyn std::error::Error>> {
    let euro = Price::per_million("1 EUR".parse()?, "1 EUR".parse()?)?;
    let book = PriceBook::builtin()
        .region(Region::Beijing)
        .with("mine", euro);
    let ledger = Ledger::new(book);
    ledger.record(&entry("qwen-turbo", 1_000_000, 0));
    ledger.record(&entry("mine", 1_000_000, 0));
    ledger.record(&entry("qwen-turbo", 1_000_000, 0));
    let cost: Vec<_> = ledger
        .snapshot()
        .total
        .cost
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(cost, ["0.6 CNY", "1 EUR"]);
    Ok(())
}

#[test]
fn a_flood_of_names_costs_bounded_memory() {
    let ledger = Ledger::default();
    for model in 0..2_000 {
        ledger.record(&entry(&format!("model-{model}"), 1, 0));
    }
    ledger.record(&entry("model-3", 1, 0));
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.models.len(), 1_025);
    assert_eq!(snapshot.models["(other)"].calls, 2_000 - 1_024);
    assert_eq!(snapshot.models["model-3"].calls, 2);
    assert_eq!(snapshot.total.input_tokens, 2_001);
}

#[test]
fn times_are_summed() {
    let ledger = Ledger::default();
    for (first, whole) in [(Some(100), 1_000), (None, 3_000), (Some(300), 2_000)] {
        let mut entry = entry("qwen-plus", 1, 1);
        entry.first_token = first.map(Duration::from_millis);
        entry.duration = Some(Duration::from_millis(whole));
        ledger.record(&entry);
    }
    let total = ledger.snapshot().total;
    assert_eq!(total.first_token.mean(), Some(Duration::from_millis(200)));
    assert_eq!(total.duration.mean(), Some(Duration::from_secs(2)));
    assert_eq!(total.duration.longest, Duration::from_secs(3));
    assert_eq!(Ledger::default().snapshot().total.duration.mean(), None);
}

#[test]
fn counts_saturate() {
    let ledger = Ledger::default();
    ledger.record(&entry("qwen-plus", u64::MAX, u64::MAX));
    ledger.record(&entry("qwen-plus", u64::MAX, u64::MAX));
    let total = ledger.snapshot().total;
    assert_eq!((total.calls, total.input_tokens), (2, u64::MAX));
}

#[test]
fn a_snapshot_is_written_as_json() {
    let ledger = Ledger::default();
    let mut timed = entry("qwen-plus", 1_000, 200);
    timed.duration = Some(Duration::from_millis(1_500));
    ledger.record(&timed);
    let json = serde_json::to_value(ledger.snapshot()).expect("json");
    assert_eq!(json["models"]["qwen-plus"]["input_tokens"], 1_000);
    assert_eq!(json["total"]["cost"][0]["amount"], "0.00064");
    assert_eq!(json["total"]["cost"][0]["currency"], "USD");
    assert_eq!(json["total"]["duration"]["sum_ms"], 1_500);
}

#[test]
fn sums_by_tenant_and_by_label() {
    let ledger = Ledger::default();
    let acme = |input| entry("qwen-plus", input, 0).tenant("acme");
    ledger.record(&acme(10).label("feature", "search").label("team", "a"));
    ledger.record(&acme(5).label("feature", "chat"));
    ledger.record(&entry("qwen2", 2, 0).tenant("other").label("team", "a"));
    ledger.record(&entry("qwen2", 1, 0));

    let snapshot = ledger.snapshot();
    let input = |totals: &Totals| (totals.calls, totals.input_tokens);
    assert_eq!(input(&snapshot.total), (4, 18));
    assert_eq!(snapshot.tenants.len(), 2);
    assert_eq!(input(&snapshot.tenants["acme"]), (2, 15));
    assert_eq!(input(&snapshot.tenants["other"]), (1, 2));
    assert_eq!(input(&snapshot.labels["feature"]["search"]), (1, 10));
    assert_eq!(input(&snapshot.labels["feature"]["chat"]), (1, 5));
    assert_eq!(input(&snapshot.labels["team"]["a"]), (2, 12));
    assert_eq!(snapshot.labels["team"].len(), 1);
    let json = serde_json::to_value(&snapshot).expect("json");
    assert_eq!(json["labels"]["feature"]["chat"]["input_tokens"], 5);
    assert_eq!(json["tenants"]["acme"]["cost"][0]["currency"], "USD");
}

#[test]
fn a_flood_of_tenants_and_labels_costs_bounded_memory() {
    let ledger = Ledger::default();
    for number in 0..1_500_u32 {
        let name = format!("n{number}");
        let entry = entry("qwen2", 1, 0)
            .tenant(name.clone())
            .label("user", name.clone())
            .label(name, "x");
        ledger.record(&entry);
    }
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.tenants.len(), 1_025);
    assert_eq!(snapshot.tenants["(other)"].calls, 1_500 - 1_024);
    assert_eq!(snapshot.labels.len(), 65);
    assert_eq!(snapshot.labels["(other)"]["x"].calls, 1_500 - 63);
    assert_eq!(snapshot.labels["user"].len(), 1_025);
    assert_eq!(snapshot.labels["user"]["(other)"].calls, 1_500 - 1_024);
}

#[test]
fn prices_can_be_exchanged_while_calls_run() {
    let ledger = Ledger::default();
    let clone = ledger.clone();
    ledger.record(&entry("qwen2", 1_000_000, 0));
    let book = PriceBook::builtin().merge(
        PriceBook::from_json(
            r#"[{"model":"qwen2","currency":"USD","tiers":[{"input":"7","output":"7"}]}]"#,
        )
        .expect("sound"),
    );
    clone.set_prices(book);
    ledger.record(&entry("qwen2", 1_000_000, 0));
    assert_eq!(ledger.snapshot().total.cost[0].to_string(), "7.2 USD");
    assert_eq!(
        ledger
            .prices()
            .cost("qwen2", &Usage::new(1, 0))
            .map(|cost| cost.to_string()),
        Some("0.000007 USD".to_owned())
    );
}

#[test]
fn failures_have_a_name() {
    let mut failed = entry("m", 1, 1);
    assert_eq!(failed.error_type(), None);
    failed.end = End::Cancelled;
    assert_eq!(failed.error_type(), Some("cancelled"));
    failed.end = End::Failed;
    assert_eq!(failed.error_type(), Some("body"));
    failed.status = Some(StatusCode::BAD_GATEWAY);
    assert_eq!(failed.error_type(), Some("502"));
    failed.cause = Some(Cause::TokenRate);
    assert_eq!(failed.error_type(), Some("token_rate"));
    let unanswered = |end| Entry::unanswered("m", end).error_type().map(str::to_owned);
    assert_eq!(unanswered(End::Failed).as_deref(), Some("transport"));
    assert_eq!(unanswered(End::Cancelled).as_deref(), Some("cancelled"));
}
