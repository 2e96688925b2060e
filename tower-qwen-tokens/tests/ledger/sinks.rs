//! What a sink gets.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tower_qwen_tokens::{
    Cause, Dialect, Ledger, PriceBook,
    ledger::{End, Entry, MemorySink, Record},
};

use crate::entry;

#[test]
fn every_attempt_goes_to_every_sink_with_its_cost() {
    let (first, second) = (Arc::new(MemorySink::new(8)), Arc::new(MemorySink::new(8)));
    let ledger = Ledger::default().with_sink(first.clone());
    let clone = ledger.clone();
    ledger.record(&entry("qwen2", 1_000_000, 0));
    let ledger = ledger.with_sink(second.clone());
    clone.record(&entry("unknown", 1, 0));
    let costs = |sink: &MemorySink| -> Vec<_> {
        let cost = |record: &Record<'_>| record.cost.map(|cost| cost.to_string());
        sink.records().iter().map(cost).collect()
    };
    assert_eq!(costs(&first), [Some("0.2 USD".to_owned()), None]);
    assert_eq!(costs(&second), [None]);
    assert_eq!(ledger.snapshot().total.calls, 2);
    assert_eq!(
        first.records()[0].at.is_some(),
        cfg!(feature = "http"),
        "the clock is the feature's"
    );
}

#[test]
fn memory_keeps_the_last_ones() {
    let (sink, none) = (Arc::new(MemorySink::new(3)), Arc::new(MemorySink::new(0)));
    let ledger = Ledger::default()
        .with_sink(sink.clone())
        .with_sink(none.clone());
    for input in 0..10 {
        ledger.record(&entry("m", input, 0));
    }
    let kept: Vec<_> = sink
        .records()
        .iter()
        .map(|record| record.entry.usage.input_tokens)
        .collect();
    assert_eq!(kept, [Some(7), Some(8), Some(9)]);
    assert!(none.records().is_empty());
}

#[test]
fn a_record_is_written_flat_and_without_what_is_unknown() {
    let mut entry = entry("qwen-plus", 1_000, 200)
        .tenant("acme")
        .label("feature", "search");
    entry.dialect = Some(Dialect::Chat);
    entry.usage.cached_tokens = Some(5);
    entry.first_token = Some(Duration::from_millis(120));
    entry.duration = Some(Duration::from_micros(1_500_999));
    let cost = PriceBook::builtin().cost("qwen-plus", &entry.usage);
    let at = Some(std::time::UNIX_EPOCH + Duration::from_millis(1_795_411_058_042));
    assert_eq!(
        serde_json::to_value(Record::new(&entry, cost, at)).expect("json"),
        json!({
            "at": "2026-11-23T05:17:38.042Z", "model": "qwen-plus",
            "v": 2, "tenant": "acme", "labels": {"feature": "search"},
            "dialect": "chat", "status": 200, "end": "complete", "basis": "reported", "input_tokens": 1_000,
            "output_tokens": 200, "cached_tokens": 5, "cost": {"amount": "0.0006384", "currency": "USD"},
            "first_token_ms": 120, "duration_ms": 1_500,
        })
    );

    let mut failed = Entry::unanswered("m", End::Failed);
    failed.cause = Some(Cause::TokenRate);
    assert_eq!(
        serde_json::to_value(Record::new(&failed, None, None)).expect("json"),
        json!({ "model": "m", "v": 2, "end": "failed", "basis": "unknown", "error": "token_rate" })
    );
}
