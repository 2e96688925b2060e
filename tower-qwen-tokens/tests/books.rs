//! Windows and quotas, and how rows are read.

use std::{error::Error, time::Duration};

use tower_qwen_tokens::{
    PriceBook, QuotaBook, Usage, WindowBook,
    data::{InvalidDataKind, ModelQuota, Region, RetirementBook, Window},
};

fn quota(book: &QuotaBook, model: &str) -> Option<(u64, u64)> {
    let quota = book.quota(model)?;
    assert_eq!(quota.period, Duration::from_secs(60));
    Some((quota.requests, quota.tokens))
}

#[test]
fn windows_of_the_models() {
    let book = WindowBook::builtin();
    let window = |model: &str| book.window(model).copied();
    let plus = Window::new(1_000_000)
        .max_output(32_768)
        .max_reasoning(81_920);
    assert_eq!(window("qwen-plus"), Some(plus));
    assert_eq!(window("qwen-plus-2025-07-28"), Some(plus));
    assert_eq!(window("qwen-plus-latest"), Some(plus));
    assert_eq!(window("qwen-plus-us"), None);
    assert_eq!(window("gpt-4o"), None);
    assert_eq!(window("qwen3-max").and_then(|w| w.max_input), Some(258_048));
    let flash = Window::new(1_000_000)
        .max_input(991_808)
        .max_output(131_072)
        .max_reasoning(262_144);
    assert_eq!(window("qwen3.8-flash"), Some(flash));
    assert_eq!(
        window("qwen3.8-max-0902").and_then(|w| w.max_reasoning),
        Some(262_144)
    );
    assert_eq!(window("qwen-turbo").map(|w| w.context), Some(131_072));
    assert_eq!(window("qwen2").map(|w| w.context), Some(131_072));
    assert_eq!(window("qwen-max").map(|w| w.context), Some(32_768));
    let beijing = WindowBook::builtin().region(Region::Beijing);
    let there = |model: &str| beijing.window(model).map(|w| w.context);
    assert_eq!(there("qwen-max"), Some(131_072));
    assert_eq!(there("qwen-long"), Some(10_000_000));
}

#[test]
fn what_is_left_of_a_window() {
    let window = Window::new(100).max_input(80).max_output(30);
    for (input, room) in [
        (0, Some(30)),
        (70, Some(30)),
        (75, Some(25)),
        (80, Some(20)),
        (81, None),
        (u64::MAX, None),
    ] {
        assert_eq!(window.room(input), room, "{input}");
    }
    assert_eq!(window.max_reasoning(5).room(0), Some(35));
    assert_eq!(Window::new(100).room(100), Some(0));
    assert_eq!(Window::new(100).room(101), None);
    let huge = Window::new(u64::MAX)
        .max_output(u64::MAX)
        .max_reasoning(u64::MAX);
    assert_eq!(huge.room(1), Some(u64::MAX - 1));
}

#[test]
fn quotas_by_model_and_region() {
    let here = QuotaBook::builtin();
    let there = QuotaBook::builtin().region(Region::Beijing);
    for (model, international, beijing) in [
        ("qwen2", Some((800, 800_000)), Some((800, 800_000))),
        (
            "qwen-plus",
            Some((600, 1_000_000)),
            Some((30_000, 5_000_000)),
        ),
        (
            "qwen-plus-latest",
            Some((600, 1_000_000)),
            Some((15_000, 1_200_000)),
        ),
        (
            "qwen-plus-2025-07-28",
            Some((60, 100_000)),
            Some((60, 1_000_000)),
        ),
        ("qwen-plus-2025-07-14", None, Some((60, 100_000))),
        (
            "qwen3.7-plus",
            Some((15_000, 5_000_000)),
            Some((30_000, 5_000_000)),
        ),
        (
            "qwen3.7-plus-2026-07-01",
            Some((60, 1_000_000)),
            Some((600, 1_000_000)),
        ),
        (
            "qwen3.7-plus-latest",
            Some((15_000, 5_000_000)),
            Some((30_000, 5_000_000)),
        ),
        ("qwen-long-2025-01-25", None, Some((3, 7_500))),
        ("qwen-mt-plus", Some((60, 100_000)), Some((60, 25_000))),
        ("qwen-mt-turbo", Some((0, 0)), Some((0, 0))),
        ("qwen-turbo", Some((0, 0)), Some((0, 0))),
        ("Qwen/Qwen3-32B", Some((0, 0)), Some((0, 0))),
        (
            "qwen/qwen-plus:thinking",
            Some((600, 1_000_000)),
            Some((30_000, 5_000_000)),
        ),
        (
            "qwen3.8-max",
            Some((u64::MAX, 1_000_000)),
            Some((u64::MAX, 5_000_000)),
        ),
        ("qwen3.8-flash", None, None),
        ("qwen2-72b-instruct", Some((0, 0)), Some((0, 0))),
        ("qwen2.5-7b-instruct", Some((0, 0)), Some((0, 0))),
        ("qwen-max-latest", Some((0, 0)), Some((0, 0))),
        ("unknown", None, None),
    ] {
        assert_eq!(quota(&here, model), international, "{model}");
        assert_eq!(quota(&there, model), beijing, "{model}");
    }
    assert!(
        here.quota("qwen-max-latest")
            .is_some_and(ModelQuota::is_closed)
    );
    assert!(!here.quota("qwen-max").is_some_and(ModelQuota::is_closed));
    let is_dynamic = |model: &str| here.quota(model).map(|quota| quota.is_dynamic);
    assert_eq!(is_dynamic("qwen3.8-max"), Some(true));
    assert_eq!(is_dynamic("qwen-plus"), Some(false));
    let virginia = QuotaBook::builtin().region(Region::Virginia);
    assert_eq!(quota(&virginia, "qwen-plus-us"), Some((600, 1_000_000)));
    assert_eq!(quota(&virginia, "qwen-plus"), None);
    assert_eq!(quota(&here, "qwen-plus-us"), None);
}

#[test]
fn what_is_retired_leads_to_a_successor() {
    let book = RetirementBook::builtin();
    for (model, expected) in [
        ("qwen-turbo", Some(("2026-10-10", Some("qwen3.7-flash")))),
        (
            "qwen-turbo-2025-04-28",
            Some(("2026-10-10", Some("qwen3.7-flash"))),
        ),
        ("qwen-turbo-latest", Some(("2026-05-13", None))),
        ("Qwen/QwQ-Plus", Some(("2026-10-10", Some("qwen3.7-plus")))),
        (
            "qvq-max-2025-03-25",
            Some(("2026-10-10", Some("qwen3.7-plus"))),
        ),
        ("qwen2.5-72b-instruct", Some(("2026-05-13", None))),
        ("qwen3-vl-plus-2025-09-23", Some(("2026-10-10", None))),
        ("qwen3-vl-plus", None),
        ("qwen2", None),
        ("qwen-plus", None),
        ("qwen3.8-max", None),
    ] {
        let retirement = book.retirement(model);
        let found = retirement.map(|found| (&*found.date, found.successor.as_deref()));
        assert_eq!(found, expected, "{model}");
    }
    let error = RetirementBook::from_json(r#"[{"model": "m", "retired": "soon"}]"#);
    assert_eq!(error.err().and_then(|error| error.row()), Some(1));
}

#[test]
fn a_snapshot_has_no_quota_of_the_stable_model() {
    let book = QuotaBook::builtin();
    assert!(book.quota("qwen-plus").is_some());
    assert_eq!(book.quota("qwen-plus-2099-01-01"), None);
    assert_eq!(book.quota("qwen-max-0125"), None);
    assert_eq!(book.quota("qwen-max-2025-01-25"), None);
    let book = book.with("qwen-plus-2099-01-01", ModelQuota::per_minute(1, 2));
    assert_eq!(quota(&book, "qwen-plus-2099-01-01"), Some((1, 2)));
}

#[test]
fn rows_say_where_they_are_from() {
    let book = QuotaBook::builtin();
    let origin = book.origin("qwen2").expect("a row");
    assert_eq!(
        origin.source.as_deref(),
        Some("Qwen2 Rate Limit and Token Usage Explained")
    );
    assert!(origin.note.is_some());
    assert_eq!(book.origin("unknown"), None);
    let own = book.with("qwen2", ModelQuota::per_minute(1, 1));
    assert_eq!(own.origin("qwen2"), None);
}

#[test]
fn rows_are_replaced_at_run_time() -> Result<(), Box<dyn Error>> {
    let text = r#"{
        "price": [
            {"model": "qwen-plus", "currency": "EUR", "tiers": [{"input": "1", "output": "2"}]},
            {"model": "qwen-plus", "currency": "EUR", "tiers": [
                {"up_to_input": 10, "input": "0.5", "output": "1", "thinking_output": "3"},
                {"input": "5", "output": "1"}
            ], "cached_percent": 0, "cache_write_percent": 100, "batch_percent": 10}
        ],
        "quota": [{"model": "q*", "region": "beijing", "requests": 1, "tokens": 2, "period_seconds": 5}]
    }"#;
    let prices = PriceBook::builtin().merge(PriceBook::from_json(text)?);
    let cost = |usage: Usage| {
        prices
            .cost("qwen-plus", &usage)
            .map(|cost| cost.to_string())
    };
    assert_eq!(cost(Usage::new(10, 0)).as_deref(), Some("0.000005 EUR"));
    assert_eq!(cost(Usage::new(11, 0)).as_deref(), Some("0.000055 EUR"));
    let mut cached = Usage::new(10, 0);
    cached.cached_tokens = Some(10);
    assert_eq!(cost(cached).as_deref(), Some("0 EUR"));
    let batch = prices.batch_cost("qwen-plus", &Usage::new(10, 0));
    assert_eq!(
        batch.map(|cost| cost.to_string()).as_deref(),
        Some("0.0000005 EUR")
    );
    assert!(prices.price("qwen2").is_some(), "the others stay");

    let quotas = QuotaBook::from_json(text)?;
    assert_eq!(quotas.quota("qwen2"), None, "alone, and elsewhere");
    let quotas = quotas.region(Region::Beijing);
    let quota = quotas.quota("qwen2").ok_or("no quota")?;
    assert_eq!((quota.requests, quota.period), (1, Duration::from_secs(5)));

    assert!(WindowBook::from_json(text)?.window("qwen-plus").is_none());
    assert!(WindowBook::from_json("[]")?.window("qwen-plus").is_none());
    assert_eq!(
        WindowBook::from_json(r#"[{"model": "m", "context": 5}]"#)?.window("m"),
        Some(&Window::new(5))
    );
    Ok(())
}

/// Kind, row, model, the text and the reason.
type Told = (
    InvalidDataKind,
    Option<usize>,
    Option<String>,
    String,
    Option<String>,
);

fn told<V>(read: Result<V, tower_qwen_tokens::data::InvalidData>) -> Told {
    let Err(error) = read else {
        panic!("accepted");
    };
    (
        error.kind(),
        error.row(),
        error.model().map(str::to_owned),
        error.to_string(),
        error.source().map(ToString::to_string),
    )
}

#[test]
fn unsound_rows_are_named() {
    let sound = r#"{"model": "a", "context": 5}"#;
    for (row, model, reason) in [
        (
            r#"{"model": "m", "context": 0}"#,
            Some("m"),
            "a window holds at least one token",
        ),
        (
            r#"{"model": "m", "context": 5, "max_output": 0}"#,
            Some("m"),
            "a window holds at least one token",
        ),
        (
            r#"{"model": "m", "context": 5, "max_input": 6}"#,
            Some("m"),
            "no part of a window is larger",
        ),
        (
            r#"{"model": "m", "context": 5, "max_inptu": 6}"#,
            Some("m"),
            "unknown field `max_inptu`",
        ),
        (
            r#"{"model": "m", "context": -5}"#,
            Some("m"),
            "invalid value",
        ),
        (r#"{"model": "m"}"#, Some("m"), "missing field `context`"),
        (r#"{"context": 5}"#, None, "missing field `model`"),
        (r#"{"model": 7, "context": 5}"#, None, "invalid type"),
        (
            r#"{"model": "m", "context": 5, "region": "mars"}"#,
            Some("m"),
            "unknown variant `mars`",
        ),
        (
            r#"{"model": "m", "context": 5, "date": "today"}"#,
            Some("m"),
            "a date is written as",
        ),
        ("7", None, "invalid type"),
    ] {
        let (kind, number, named, text, source) =
            told(WindowBook::from_json(&format!("[{sound}, {row}]")));
        assert_eq!((kind, number), (InvalidDataKind::Row, Some(2)), "{row}");
        assert_eq!(named.as_deref(), model, "{row}");
        assert!(text.starts_with("row 2 of the window data"), "{text}");
        assert_eq!(text.contains("\"m\""), model.is_some(), "{text}");
        assert!(
            source.is_some_and(|source| source.contains(reason)),
            "{row}"
        );
    }
    let text = r#"[{"model": "m", "requests": 1, "tokens": 1, "period_seconds": 0}]"#;
    assert_eq!(told(QuotaBook::from_json(text)).1, Some(1));
}

#[test]
fn unsound_prices_are_named() {
    for (fields, reason) in [
        (r#""currency": "usd", "tiers": []"#, "three capital letters"),
        (r#""currency": "USD", "tiers": []"#, "at least one tier"),
        (
            r#""currency": "USD", "tiers": [{"input": 0.1, "output": "1"}]"#,
            "expected a string",
        ),
        (
            r#""currency": "USD", "tiers": [{"input": "0,1", "output": "1"}]"#,
            "decimals",
        ),
        (
            r#""currency": "USD", "tiers": [{"input": "-1", "output": "1"}]"#,
            "negative",
        ),
        (
            r#""currency": "USD", "tiers": [{"input": "1", "output": "1"}, {"input": "1", "output": "1"}]"#,
            "bounds",
        ),
        (
            r#""currency": "USD", "tiers": [{"input": "1", "output": "1", "inptu": "1"}]"#,
            "unknown field",
        ),
        (
            r#""currency": "USD", "inptu": "1", "tiers": [{"input": "1", "output": "1"}]"#,
            "unknown field",
        ),
    ] {
        let (kind, row, model, _, source) = told(PriceBook::from_json(&format!(
            r#"[{{"model": "m", {fields}}}]"#
        )));
        assert_eq!((kind, row), (InvalidDataKind::Row, Some(1)), "{fields}");
        assert_eq!(model.as_deref(), Some("m"));
        assert!(
            source.is_some_and(|source| source.contains(reason)),
            "{fields}"
        );
    }
}

#[test]
fn texts_that_hold_no_rows_are_refused() {
    for (text, kind) in [
        ("", InvalidDataKind::Syntax),
        ("[", InvalidDataKind::Syntax),
        ("7", InvalidDataKind::Layout),
        (r#"{"windows": []}"#, InvalidDataKind::Layout),
        (r#"{"window": {}}"#, InvalidDataKind::Layout),
    ] {
        let told = told(WindowBook::from_json(text));
        assert_eq!((told.0, told.1), (kind, None), "{text}");
    }
}

#[cfg(feature = "toml")]
mod toml {
    use super::*;

    const TEXT: &str = r#"
        [[price]]
        model = "qwen-plus"
        region = "international"
        currency = "EUR"
        tiers = [{ up_to_input = 10, input = "0.5", output = "1" }, { input = "5", output = "1" }]
        source = "our contract"
        date = 2026-11-01

        [[window]]
        model = "mine-*"
        context = 8_192

        [[quota]]
        model = "mine"
        requests = 600
        tokens = 1_000_000
    "#;

    #[test]
    fn one_file_holds_all_three() -> Result<(), Box<dyn Error>> {
        let prices = PriceBook::from_toml(TEXT)?;
        let price = prices.price("qwen-plus").ok_or("no price")?;
        assert_eq!(price.date(), Some("2026-11-01"));
        assert_eq!(price.source(), Some("our contract"));
        let cost = prices.cost("qwen-plus", &Usage::new(11, 0));
        assert_eq!(
            cost.map(|cost| cost.to_string()).as_deref(),
            Some("0.000055 EUR")
        );
        assert_eq!(
            WindowBook::from_toml(TEXT)?
                .window("mine-7b")
                .map(|w| w.context),
            Some(8_192)
        );
        assert_eq!(
            quota(&QuotaBook::from_toml(TEXT)?, "mine"),
            Some((600, 1_000_000))
        );
        assert!(QuotaBook::from_toml("")?.quota("mine").is_none());
        Ok(())
    }

    #[test]
    fn unsound_rows_are_named() {
        let text =
            "[[window]]\nmodel = \"a\"\ncontext = 1\n[[window]]\nmodel = \"b\"\ncontext = 1.5";
        let told_row = told(WindowBook::from_toml(text));
        assert_eq!((told_row.0, told_row.1), (InvalidDataKind::Row, Some(2)));
        assert_eq!(told_row.2.as_deref(), Some("b"));
        assert_eq!(
            told(WindowBook::from_toml("window = 1")).0,
            InvalidDataKind::Layout
        );
        assert_eq!(
            told(WindowBook::from_toml("[[windows]]")).0,
            InvalidDataKind::Layout
        );
        assert_eq!(told(WindowBook::from_toml("[[")).0, InvalidDataKind::Syntax);
    }

    #[test]
    fn json_and_toml_say_the_same() -> Result<(), Box<dyn Error>> {
        let json = r#"{"quota": [{"model": "mine", "requests": 600, "tokens": 1000000}]}"#;
        assert_eq!(
            QuotaBook::from_json(json)?.quota("mine"),
            QuotaBook::from_toml(TEXT)?.quota("mine")
        );
        Ok(())
    }

    #[test]
    fn the_documented_file_is_read() -> Result<(), Box<dyn Error>> {
        let docs = include_str!("../src/data/mod.rs");
        let text = docs.split("```").nth(1).ok_or("no example")?;
        let text = text.trim_start_matches("toml").replace("//!", "");
        let price = PriceBook::from_toml(&text)?;
        let cost = price.cost("qwen-plus", &Usage::new(256_000, 0));
        assert_eq!(
            cost.map(|cost| cost.to_string()).as_deref(),
            Some("0.1024 USD")
        );
        assert_eq!(
            price.price("qwen-plus").and_then(|p| p.date()),
            Some("2026-11-01")
        );
        assert!(WindowBook::from_toml(&text)?.window("qwen-plus").is_some());
        assert_eq!(
            quota(&QuotaBook::from_toml(&text)?, "qwen-plus"),
            Some((600, 1_000_000))
        );
        Ok(())
    }
}
