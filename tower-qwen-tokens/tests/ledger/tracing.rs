//! What a subscriber of `tracing` gets.

use std::sync::Arc;

use tower_qwen_tokens::{
    Ledger,
    ledger::{End, Entry, TracingSink},
};
use tracing::subscriber::with_default;

use crate::{entry, events::Events};

#[test]
fn every_attempt_is_an_event() {
    let events = Events::default();
    with_default(events.clone(), || {
        let ledger = Ledger::default().with_sink(Arc::new(TracingSink::new()));
        ledger.record(&entry("qwen2", 1_000_000, 5).tenant("acme"));
        ledger.record(&Entry::unanswered("qwen2", End::Failed));
    });
    let events = events.take();
    let (head, fields) = &events[0];
    assert_eq!(head, "DEBUG tower_qwen_tokens::ledger");
    for (field, expected) in [
        ("model", "\"qwen2\""),
        ("tenant", "\"acme\""),
        ("input_tokens", "1000000"),
        ("total_tokens", "1000005"),
        ("basis", "\"reported\""),
        ("end", "\"complete\""),
        ("status", "200"),
        ("cost", "0.200003 USD"),
        ("message", "attempt"),
    ] {
        assert_eq!(fields[field], expected, "{field}");
    }
    assert!(!fields.contains_key("error"));
    let (head, fields) = &events[1];
    assert_eq!(head, "WARN tower_qwen_tokens::ledger");
    assert_eq!(fields["error"], "\"transport\"");
    assert!(!fields.contains_key("cost") && !fields.contains_key("status"));
    assert_eq!(events.len(), 2);
}

#[test]
fn a_retired_model_is_a_warning_once() {
    let events = Events::default();
    with_default(events.clone(), || {
        let ledger = Ledger::default().with_sink(Arc::new(TracingSink::new()));
        ledger.record(&entry("qwen-turbo", 1, 1));
        ledger.record(&entry("qwen-turbo", 1, 1));
    });
    let events = events.take();
    assert_eq!(events.len(), 3);
    let (head, fields) = &events[0];
    assert_eq!(head, "WARN tower_qwen_tokens::ledger");
    for (field, expected) in [
        ("model", "\"qwen-turbo\""),
        ("retired", "\"2026-10-10\""),
        ("successor", "\"qwen3.7-flash\""),
        (
            "message",
            "qwen-turbo is retired on 2026-10-10, its successor is qwen3.7-flash",
        ),
    ] {
        assert_eq!(fields[field], expected, "{field}");
    }
    assert!(
        events[1..]
            .iter()
            .all(|(head, _)| head.starts_with("DEBUG"))
    );
}
