use tokio::time::timeout;
use tower_qwen_ratelimit::{
    Quota,
    fleet::redis::{RedisOptions, Sharing, UsageOfDay},
};
use tower_qwen_tokens::{
    Basis, End, Ledger, Money, PriceBook, Usage,
    internal::clock::WallClock,
    ledger::{Day, Entry, LedgerSink, Record, Snapshot},
    price::Currency,
};

use crate::{
    server::Server,
    support::{LONG, Process},
};

fn entry(tenant: &str, model: &str, input: u64, output: u64) -> Entry {
    let usage = Usage::new(input, output);
    Entry::new(model, usage, Basis::Reported, End::Complete).tenant(tenant)
}

fn lines(usage: &[UsageOfDay]) -> Vec<String> {
    let line = |used: &UsageOfDay| {
        let sums = &used.sums;
        format!(
            "{} {} {} {} {}",
            used.tenant, used.model, sums.calls, sums.input_tokens, sums.output_tokens
        )
    };
    usage.iter().map(line).collect()
}

#[tokio::test]
async fn the_ledger_of_a_fleet_adds_up() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(10, 1_000);
    let one = Process::start(&server, quota, Sharing::Booking).await;
    let other = Process::start(&server, quota, Sharing::Lease).await;
    let ledgers = [&one, &other].map(|process| {
        Ledger::new(PriceBook::builtin()).with_sink(std::sync::Arc::new(process.store.ledger()))
    });
    for ledger in &ledgers {
        for _ in 0..100 {
            ledger.record(&entry("acme", "qwen-plus", 10, 5));
        }
        ledger.record(&entry("two\nlines", "qwen-max", 1, 2));
    }
    one.store.flush().await;
    other.store.flush().await;
    let today = Day::of(WallClock::new().now());
    let usage = one.store.usage(today).await.unwrap();
    assert_eq!(
        lines(&usage),
        ["acme qwen-plus 200 2000 1000", "two\nlines qwen-max 2 2 4"]
    );
    let mut own = Snapshot::default();
    for ledger in &ledgers {
        own.merge(&ledger.snapshot());
    }
    for used in &usage {
        let cost = &own.models[&used.model].cost;
        assert!(!cost.is_empty() && *cost == used.sums.cost, "{usage:?}");
    }
    // Two heartbeats at most, and one for each flush.
    assert!(one.store.snapshot().round_trips < 10);

    server.kill();
    while !one.store.snapshot().is_away {
        tokio::task::yield_now().await;
    }
    assert!(one.store.usage(today).await.is_err());
}

#[tokio::test]
async fn a_sum_that_grows_too_large_stays_there_alone() {
    let Some(server) = Server::start() else {
        return;
    };
    let process = Process::start(&server, Quota::per_minute(10, 1_000), Sharing::Booking).await;
    let ledger = process.store.ledger();
    let most = Money::from_pico(i64::MAX.into(), Currency::USD);
    for _ in 0..2 {
        for tenant in ["acme", "zeta"] {
            let entry = entry(tenant, "qwen-plus", 10, 5);
            let cost = if tenant == "acme" {
                most
            } else {
                Money::from_pico(1, Currency::CNY)
            };
            ledger.record(&Record::new(&entry, Some(cost), None));
        }
        process.store.flush().await;
    }
    let today = Day::of(WallClock::new().now());
    let usage = process.store.usage(today).await.unwrap();
    assert_eq!(
        lines(&usage),
        ["acme qwen-plus 2 20 10", "zeta qwen-plus 2 20 10"]
    );
    assert_eq!(usage[0].sums.cost, [most]);
    assert_eq!(usage[1].sums.cost, [Money::from_pico(2, Currency::CNY)]);
    assert_eq!(process.store.snapshot().outages, 0);
}

#[tokio::test]
async fn what_was_used_is_told_at_a_graceful_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(10, 1_000);
    let one = Process::start(&server, quota, Sharing::Booking).await;
    let other = Process::start(&server, quota, Sharing::Booking).await;
    let sink = std::sync::Arc::new(one.store.ledger());
    Ledger::new(PriceBook::builtin())
        .with_sink(sink)
        .record(&entry("acme", "qwen-plus", 10, 5));
    let Process {
        store,
        limiter,
        driver,
    } = one;
    drop((store, limiter));
    timeout(LONG, driver).await.expect("it ends").unwrap();
    let today = Day::of(WallClock::new().now());
    let usage = other.store.usage(today).await.unwrap();
    assert_eq!(lines(&usage), ["acme qwen-plus 1 10 5"]);
}

#[tokio::test]
async fn what_was_used_is_read_by_either_protocol() {
    let Some(server) = Server::start() else {
        return;
    };
    let quota = Quota::per_minute(6_000, 60_000);
    for (count, protocol) in [(1, "resp2"), (2, "resp3")] {
        let url = format!("{}/?protocol={protocol}", server.url());
        let process = Process::with(RedisOptions::new(&url).unwrap(), quota).await;
        process
            .store
            .ledger()
            .record(&Record::new(&entry("acme", "qwen-plus", 10, 5), None, None));
        process.sends(1).await;
        process.store.flush().await;
        let today = Day::of(WallClock::new().now());
        let usage = process.store.usage(today).await.unwrap();
        assert_eq!(usage.len(), 1, "{protocol}");
        assert_eq!(usage[0].sums.calls, count);
    }
}
