//! What the sinks get to know of a model once: that it has no price, or is retired.

use std::sync::{Arc, Mutex};

use tower_qwen_tokens::{
    Ledger, PriceBook, Usage,
    data::RetirementBook,
    ledger::{Entry, LedgerSink, ModelNotice, Record},
    price::Share,
};

use crate::entry;

#[derive(Debug, Default)]
struct Notices(Mutex<Vec<(String, bool, String)>>);

impl LedgerSink for Notices {
    fn record(&self, _: &Record<'_>) {}

    fn notice(&self, notice: &ModelNotice<'_>) {
        let successor = notice
            .retirement
            .and_then(|retirement| retirement.successor.clone());
        self.0.lock().expect("a lock").push((
            notice.model.to_owned(),
            notice.is_priced,
            successor.unwrap_or_default(),
        ));
    }
}

impl Notices {
    fn take(&self) -> Vec<(String, bool, String)> {
        std::mem::take(&mut self.0.lock().expect("a lock"))
    }
}

fn of(model: &str, is_priced: bool, successor: &str) -> (String, bool, String) {
    (model.to_owned(), is_priced, successor.to_owned())
}

#[test]
fn each_model_is_noticed_once() {
    let notices = Arc::new(Notices::default());
    let ledger = Ledger::default().with_sink(notices.clone());
    for model in [
        "qwen-plus",
        "qwen-turbo",
        "my-model",
        "qwen2.5-7b-instruct",
        "qwen/qwen3-max:thinking",
        "",
    ] {
        ledger.record(&entry(model, 1, 1));
        ledger.record(&entry(model, 1, 1));
    }
    let expected = [
        of("qwen-turbo", true, "qwen3.7-flash"),
        of("my-model", false, ""),
        of("qwen2.5-7b-instruct", false, ""),
        of("qwen/qwen3-max:thinking", true, "qwen3.7-max"),
    ];
    assert_eq!(notices.take(), expected);
    // To take the sums does not make a model new.
    drop(ledger.take());
    ledger.clone().record(&entry("qwen-turbo", 1, 1));
    assert_eq!(notices.take(), []);
}

#[test]
fn notices_of_ones_own() {
    let notices = Arc::new(Notices::default());
    let ledger = Ledger::default().with_sink(notices.clone());
    let rows = r#"[{"model": "qwen-plus", "retired": "2099-01-01", "successor": "mine"}]"#;
    ledger.set_retired(RetirementBook::from_json(rows).expect("rows"));
    ledger.record(&entry("qwen-plus", 1, 1));
    ledger.record(&entry("qwen-turbo", 1, 1));
    assert_eq!(notices.take(), [of("qwen-plus", true, "mine")]);
}

#[test]
fn a_usage_that_cannot_be_is_noticed_once_a_model() {
    let notices = Arc::new(Notices::default());
    let ledger = Ledger::default().with_sink(notices.clone());
    let mut entry = entry("qwen-plus", 1, 1);
    ledger.record(&entry);
    assert_eq!(notices.take(), []);
    entry.impossible = Some(Usage::new(1 << 40, 1));
    ledger.record(&entry);
    ledger.record(&entry);
    assert_eq!(notices.take(), [of("qwen-plus", true, "")]);
}

#[test]
fn a_flood_of_names_is_not_noticed_for_ever() {
    let notices = Arc::new(Notices::default());
    let ledger = Ledger::default().with_sink(notices.clone());
    for round in 0..3 {
        for model in 0..1_000 {
            ledger.record(&entry(&format!("model-{round}-{model}"), 1, 1));
        }
        drop(ledger.take());
    }
    assert_eq!(notices.take().len(), 1_024);
}

#[test]
fn an_entry_is_priced_as_it_was_billed() {
    let price = |book: PriceBook, change: fn(&mut Entry)| {
        let ledger = Ledger::new(book);
        let mut entry = entry("qwen-plus", 1_000_000, 0);
        change(&mut entry);
        ledger.record(&entry);
        let cost = ledger.snapshot().total.cost;
        cost.first().map(ToString::to_string).unwrap_or_default()
    };
    let builtin = PriceBook::builtin;
    assert_eq!(price(builtin(), |_| {}), "1.2 USD");
    assert_eq!(price(builtin(), |entry| entry.batch = true), "0.6 USD");
    assert_eq!(
        price(builtin(), |entry| entry.service_tier = Some("flex".into())),
        ""
    );
    let mine = builtin().price("qwen-plus").expect("a price").clone();
    let mine = builtin().with("qwen-plus", mine.service_tier("flex", Share::percent(25)));
    assert_eq!(
        price(mine, |entry| entry.service_tier = Some("flex".into())),
        "0.3 USD"
    );
}

/// The clock that counts is the one at the send: half of the day ago, here.
#[cfg(feature = "http")]
#[test]
fn a_call_costs_what_it_cost_when_it_was_sent() {
    use std::time::Duration;
    use tower_qwen_tokens::{
        ledger::MemorySink,
        price::{Billing, ClockWindow},
    };

    const HALF_A_DAY: Duration = Duration::from_secs(12 * 3_600);
    let plus = PriceBook::builtin();
    let price = plus.price("qwen-plus").expect("a price");
    let free =
        |from, to| ClockWindow::new(from, to, "+00:00", Share::percent(0)).expect("a window");
    // Two halves of the day, one of them free: the record's own time says which one it is.
    for half in [free("00:00", "12:00"), free("12:00", "00:00")] {
        let book = PriceBook::empty().with("qwen-plus", price.clone().clock_window(half));
        let last = Arc::new(MemorySink::new(1));
        let ledger = Ledger::new(book.clone()).with_sink(last.clone());
        let mut entry = entry("qwen-plus", 100_000, 0);
        entry.duration = Some(HALF_A_DAY);
        ledger.record(&entry);
        let record = last.records().pop().expect("a record");
        let ended = record.at.expect("a time");
        let cost_at = |at| book.cost_of("qwen-plus", &entry.usage, &Billing::new().at(at));
        assert_eq!(record.cost, cost_at(ended - HALF_A_DAY));
        assert_ne!(record.cost, cost_at(ended));
    }
}
