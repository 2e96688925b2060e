//! Lines of the ledger's files, written and read again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_qwen_tokens::{
    CacheType, Cause, Dialect, Money, Usage,
    ledger::{Basis, End, Entry, InvalidLine, Record, read_line},
};

/// Every line that some commit before the format had a number could write, one of each kind. Made of
/// `first_format` when the ledger wrote so; never to be changed.
const FIRST_FORMAT: &str = include_str!("../data/ledger_lines.jsonl");

/// What `FIRST_FORMAT` holds.
fn first_format() -> Vec<Record<'static>> {
    let at = |milli| Some(UNIX_EPOCH + Duration::from_millis(milli));
    let money = |text: &str| Some(text.parse::<Money>().expect("an amount"));
    let record = |entry: Entry, cost, at| Record::new(&entry, cost, at).into_owned();
    let plain = || crate::entry("qwen-plus", 1_000, 200);
    let with = |change: &dyn Fn(&mut Entry)| {
        let mut entry = plain();
        change(&mut entry);
        entry
    };
    let noon = at(1_795_608_000_042);
    let mut records = vec![
        record(plain(), None, None),
        record(plain(), money("0.00064 USD"), noon),
        record(plain(), money("0.000000000001 CNY"), at(0)),
        record(
            plain(),
            money("-12345678901234.5 USD"),
            at(4_107_542_399_999),
        ),
        record(plain(), money("7 Credits"), noon),
        record(crate::entry("", 0, u64::MAX), None, noon),
        record(crate::entry("a/\"b\\c\"\n千问", 1, 2), None, noon),
        record(Entry::unanswered("qwen2", End::Failed), None, noon),
        record(Entry::unanswered("qwen2", End::Cancelled), None, noon),
        record(
            plain()
                .tenant("é\n\"acme\"")
                .label("feature", "摘要")
                .label("", ""),
            None,
            noon,
        ),
    ];
    for &dialect in Dialect::ALL {
        let entry = with(&|entry| entry.dialect = Some(dialect));
        records.push(record(entry, None, noon));
    }
    for &cause in Cause::ALL {
        let entry = with(&|entry| {
            entry.usage = Usage::default();
            entry.basis = Basis::Unknown;
            entry.status = Some(StatusCode::TOO_MANY_REQUESTS);
            entry.cause = Some(cause);
        });
        records.push(record(entry, None, noon));
    }
    for (basis, end, status) in [
        (Basis::Estimated, End::Cancelled, Some(StatusCode::OK)),
        (Basis::Estimated, End::Failed, Some(StatusCode::OK)),
        (Basis::Estimated, End::Cancelled, None),
        (Basis::Unknown, End::Complete, Some(StatusCode::NO_CONTENT)),
        (Basis::Unknown, End::Complete, Some(StatusCode::IM_A_TEAPOT)),
        (Basis::Unknown, End::Failed, Some(StatusCode::BAD_GATEWAY)),
    ] {
        let entry = with(&|entry| (entry.basis, entry.end, entry.status) = (basis, end, status));
        records.push(record(entry, None, noon));
    }
    let everything = with(&|entry| {
        let usage = &mut entry.usage;
        usage.total_tokens = Some(1_200);
        usage.cached_tokens = Some(300);
        usage.cache_type = Some(CacheType::Explicit);
        usage.cache_write_tokens = Some(200);
        usage.reasoning_tokens = Some(100);
        entry.batch = true;
        entry.service_tier = Some("flex".into());
        entry.dialect = Some(Dialect::Chat);
        entry.first_token = Some(Duration::from_millis(321));
        entry.duration = Some(Duration::from_millis(4_321));
    });
    records.push(record(
        everything.tenant("acme"),
        money("0.00032 USD"),
        noon,
    ));
    let implicit = with(&|entry| {
        entry.usage.cached_tokens = Some(1);
        entry.usage.cache_type = Some(CacheType::Implicit);
        entry.usage.output_tokens = None;
    });
    records.push(record(implicit, None, noon));
    records
}

/// All that a line holds, to be compared.
fn facts(record: &Record<'_>) -> (Value, String) {
    let entry = &*record.entry;
    let facts = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        record.at, entry.usage, entry.dialect, entry.cause, entry.first_token, entry.duration
    );
    (json!(record), facts)
}

#[test]
fn every_line_that_was_ever_written_is_read() {
    let lines: Vec<_> = FIRST_FORMAT.lines().collect();
    let expected = first_format();
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(&expected) {
        let record = read_line(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(facts(&record), facts(expected), "{line}");
    }
}

#[test]
fn a_line_says_its_format_and_all_that_is_known_of_its_sends() {
    let mut entry = crate::entry("qwen2", 1, 2);
    let line = |entry: &Entry| json!(Record::new(entry, None, None));
    assert_eq!(line(&entry)["v"], 2);
    assert_eq!(line(&entry).get("attempt"), None);
    entry.attempt = Some(2);
    entry.target = Some("second key".into());
    entry.queued = Some(Duration::from_millis(1_500));
    entry.retry_wait = Some(Duration::ZERO);
    entry.basis = Basis::NotSent;
    let line = line(&entry);
    assert_eq!(
        (&line["attempt"], &line["target"]),
        (&json!(2), &json!("second key"))
    );
    assert_eq!(
        (&line["queued_ms"], &line["retry_wait_ms"]),
        (&json!(1_500), &json!(0))
    );
    assert_eq!(line["basis"], "not_sent");
    // What was no format of its own is the first.
    assert!(FIRST_FORMAT.lines().all(|line| !line.contains(r#""v":"#)));
    assert!(read_line(r#"{"model":"m","v":1}"#).is_ok());
    let error = read_line(r#"{"model":"m","v":3}"#).expect_err("of a later release");
    assert!(matches!(error, InvalidLine::Format(3)), "{error}");
}

#[test]
fn what_is_not_known_is_ignored_and_what_is_missing_has_a_default() {
    let record =
        read_line(r#"{"model":"m","new":{"deep":[1]},"batch":false,"x":null}"#).expect("a line");
    let entry = &*record.entry;
    assert_eq!(
        (&*entry.model, entry.status, entry.end),
        ("m", None, End::Complete)
    );
    assert_eq!(
        (entry.basis, record.cost, record.at),
        (Basis::Unknown, None, None)
    );
    assert!(entry.usage.is_empty() && entry.labels.is_empty());
    let record = read_line(
        r#"{"model":"m","status":200,"end":"soon","basis":"guessed","error":"bored","dialect":"x"}"#,
    )
    .expect("a line of a later release");
    let entry = &*record.entry;
    assert_eq!((entry.end, entry.basis), (End::Complete, Basis::Unknown));
    assert_eq!((entry.cause, entry.dialect), (None, None));
    for (error, cause) in [
        ("request_rate", Some(Cause::RequestRate)),
        ("transport", None),
        ("bored", None),
    ] {
        let text = format!(r#"{{"model":"m","end":"failed","error":"{error}"}}"#);
        let entry = read_line(&text).expect("a line without a status").entry;
        assert_eq!((entry.status, entry.cause), (None, cause), "{error}");
    }
    let spaced = read_line("\t{ \"model\" : \"\\u0071\" }\r").expect("other spelling");
    assert_eq!(&*spaced.entry.model, "q");
}

#[test]
fn what_no_ledger_writes_is_an_error() {
    for text in [
        "",
        "{}",
        "[]",
        "7",
        "null",
        r#"{"model":7}"#,
        r#"{"model":"m""#,
        "\0\0",
    ] {
        let error = read_line(text).expect_err(text);
        assert!(matches!(error, InvalidLine::Json(_)), "{text}: {error:?}");
    }
    for (member, name) in [
        (r#""at":"yesterday""#, "at"),
        (r#""at":"2026-02-30T00:00:00.000Z""#, "at"),
        (r#""at":"2026-01-01T24:00:00.000Z""#, "at"),
        (r#""at":"2026-01-01T00:00:00.000+01:00""#, "at"),
        (r#""at":"2026-01-01-01T00:00:00.000Z""#, "at"),
        (r#""at":"999999999999-01-01T00:00:00.000Z""#, "at"),
        (r#""status":7"#, "status"),
        (r#""cost":{"amount":"1e3","currency":"USD"}"#, "cost"),
        (r#""cost":{"amount":"1","currency":"usd"}"#, "cost"),
    ] {
        let text = format!(r#"{{"model":"m",{member}}}"#);
        let error = read_line(&text).expect_err(&text);
        assert!(
            matches!(error, InvalidLine::Value(of) if of == name),
            "{text}: {error:?}"
        );
    }
    for member in [
        r#""input_tokens":-1"#,
        r#""input_tokens":1.5"#,
        r#""labels":["a"]"#,
        r#""cost":"1 USD""#,
        r#""at":7"#,
    ] {
        let text = format!(r#"{{"model":"m",{member}}}"#);
        assert!(
            matches!(read_line(&text), Err(InvalidLine::Json(_))),
            "{text}"
        );
    }
}

proptest! {
    /// Whatever was recorded, the file says the same when it is read.
    #[test]
    fn what_is_written_is_read_again(
        milli in prop::option::of(0_u64..253_402_300_800_000),
        pico in prop::option::of(-(10_i128.pow(30))..10_i128.pow(30)),
        model in ".{0,9}",
        tenant in prop::option::of(".{0,9}"),
        labels in prop::collection::hash_map(".{0,9}", ".{0,9}", 0..4),
        tokens in prop::array::uniform6(prop::option::of(any::<u64>())),
        status in prop::option::of(100_u16..1_000),
        kind in 0_usize..3_000,
        times in prop::array::uniform4(prop::option::of(0_u64..u64::MAX / 1_000_000)),
        attempt: Option<u32>,
        target in prop::option::of(".{0,9}"),
    ) {
        let [input, output, total, cached, written, reasoning] = tokens;
        let mut usage = Usage::default();
        (usage.input_tokens, usage.output_tokens, usage.total_tokens) = (input, output, total);
        (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) = (cached, written, reasoning);
        let end = [End::Complete, End::Failed, End::Cancelled][kind % 3];
        let basis = [Basis::Reported, Basis::Estimated, Basis::Unknown, Basis::NotSent][kind / 3 % 4];
        let mut entry = Entry::new(model, usage, basis, end);
        entry.tenant = tenant.map(Into::into);
        for (key, value) in labels {
            entry = entry.label(key, value);
        }
        entry.status = status.map(|status| StatusCode::from_u16(status).expect("a status"));
        // Without an answer a failure is called `transport`, whether that is its cause or nothing is known.
        let is_unanswered = entry.status.is_none() && end == End::Failed;
        let cause = Cause::ALL.get(kind / 9 % 40).copied();
        entry.cause = cause.filter(|&cause| !(is_unanswered && cause == Cause::Transport));
        entry.dialect = Dialect::ALL.get(kind / 360).copied();
        let times = times.map(|milli| milli.map(Duration::from_millis));
        [entry.first_token, entry.duration, entry.queued, entry.retry_wait] = times;
        (entry.attempt, entry.target) = (attempt, target.map(Into::into));
        let at: Option<SystemTime> = milli.map(|milli| UNIX_EPOCH + Duration::from_millis(milli));
        let cost = pico.map(|pico| Money::from_pico(pico, tower_qwen_tokens::price::Currency::CNY));
        let record = Record::new(&entry, cost, at);
        let line = serde_json::to_string(&record).expect("a line");
        let again = read_line(&line).expect("a line");
        prop_assert_eq!(facts(&again), facts(&record), "{}", line);
    }

    /// No bytes make it panic.
    #[test]
    fn any_text_is_a_line_or_an_error(text in ".{0,64}", cut in 0_usize..4_096) {
        let _ = read_line(&text);
        let line = FIRST_FORMAT.lines().nth(cut % 40).expect("a line");
        let half: String = line.chars().take(cut % line.chars().count()).collect();
        prop_assert!(read_line(&half).is_err());
    }
}
