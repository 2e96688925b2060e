//! The scanner: recorded shapes, whatever the cuts.
#![cfg(feature = "http")]

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::Value;
use tower_qwen_tokens::{
    Cause, Dialect, Usage, Verdict,
    scan::{Scanned, Scanner, UnsupportedBody},
};

struct Case {
    name: &'static str,
    body: &'static str,
    dialect: Dialect,
    /// Input, output, total, cached, reasoning; `None` where no usage is found.
    usage: Option<[Option<u64>; 5]>,
    is_final: bool,
    cause: Option<Cause>,
    /// Tokens by the rough count of the text.
    delivered: u64,
}

macro_rules! case {
    ($name:literal, $dialect:ident, $usage:expr, $is_final:expr, $cause:expr, $delivered:expr) => {
        Case {
            name: $name,
            body: include_str!(concat!("fixtures/", $name)),
            dialect: Dialect::$dialect,
            usage: $usage,
            is_final: $is_final,
            cause: $cause,
            delivered: $delivered,
        }
    };
}

const fn counts(input: u64, output: u64, total: u64) -> Option<[Option<u64>; 5]> {
    Some([Some(input), Some(output), Some(total), None, None])
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case!("compat.json", Chat, Some([Some(3019), Some(104), Some(3123), Some(2048), None]), true, None, 9),
    case!("compat_pretty.json", Chat, Some([Some(12), Some(34), Some(46), None, Some(30)]), true, None, 1),
    case!("embeddings.json", Embeddings, Some([Some(23), None, Some(23), None, None]), true, None, 0),
    case!("native_embeddings.json", NativeEmbeddings, Some([None, None, Some(27), None, None]), true, None, 0),
    case!("native_vl.json", NativeMultimodal, Some([Some(2807), Some(103), Some(2910), None, Some(38)]), true, None, 2),
    case!("native_image.json", NativeMultimodal, None, false, None, 0),
    case!("apps.json", NativeText, Some([Some(1201), Some(43), None, None, None]), true, None, 1),
    case!("error_in_200.json", NativeText, None, false, Some(Cause::TokenRate), 0),
    case!("responses.json", Responses, Some([Some(40), Some(20), Some(60), Some(16), Some(12)]), true, None, 2),
    case!("compat.sse", Chat, Some([Some(22), Some(17), Some(39), Some(0), None]), true, None, 4),
    case!("compat_without_usage.sse", Chat, None, false, None, 4),
    case!("native.sse", NativeText, counts(16, 6, 22), true, None, 2),
    case!("native_cut.sse", NativeText, Some([Some(16), Some(4), Some(20), None, Some(1)]), false, None, 4),
    case!("native_error.sse", NativeText, None, false, Some(Cause::InvalidRequest), 0),
    case!("native_throttled.sse", NativeText, counts(16, 2, 18), false, Some(Cause::TokenRate), 1),
    case!("compat_throttled.sse", Chat, None, false, Some(Cause::RequestRate), 2),
    case!("error_finish.sse", Chat, None, false, Some(Cause::Capacity), 23),
    case!("error_without_code.sse", Chat, None, false, Some(Cause::RequestRate), 0),
    case!("responses.sse", Responses, Some([Some(37), Some(243), Some(280), None, Some(220)]), true, None, 2),
    case!("responses_failed.sse", Responses, None, false, Some(Cause::TokenRate), 0),
    case!("anthropic.sse", Anthropic, Some([Some(2105), Some(15), None, Some(2000), None]), true, None, 3),
    case!("anthropic_error.sse", Anthropic, None, false, Some(Cause::Throttled), 0),
    case!("continuous.sse", Chat, counts(5, 2, 7), true, None, 1),
    case!("odd_framing.sse", Chat, Some([Some(3), Some(4), None, None, None]), true, None, 0),
];

impl Case {
    fn scanner(&self) -> Scanner {
        if self.name.ends_with(".sse") {
            Scanner::sse(self.dialect)
        } else {
            Scanner::json()
        }
    }

    fn scan<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Scanned {
        let mut scanner = self.scanner();
        for piece in pieces {
            scanner.push(piece);
        }
        scanner.finish()
    }
}

fn summary(usage: &Usage) -> [Option<u64>; 5] {
    [
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    ]
}

#[test]
fn recorded_shapes() {
    for case in CASES {
        let scanned = case.scan([case.body.as_bytes()]);
        assert_eq!(
            scanned.usage.as_ref().map(summary),
            case.usage,
            "{}",
            case.name
        );
        assert_eq!(scanned.is_final, case.is_final, "{}", case.name);
        let cause = scanned.verdict.as_ref().map(Verdict::cause);
        assert_eq!(cause, case.cause, "{}", case.name);
        assert_eq!(scanned.delivered.tokens(), case.delivered, "{}", case.name);
    }
}

#[test]
fn reasons_that_say_an_answer_is_broken_off() {
    #[rustfmt::skip]
    let rows = [
        ("stop", None),
        ("length", None),
        ("content_filter", None),
        ("an error, as one of its tools says", None),
        ("error", Some(Cause::TokenRate)),
        ("error_finish", Some(Cause::TokenRate)),
    ];
    for (reason, cause) in rows {
        let body = format!(
            r#"{{"choices":[{{"finish_reason":"{reason}","message":{{"content":"Throttling: TPM(9/8)"}}}}],"usage":{{}}}}"#
        );
        for cut in 0..body.len() {
            let mut scanner = Scanner::json();
            scanner.push(&body.as_bytes()[..cut]);
            scanner.push(&body.as_bytes()[cut..]);
            let verdict = scanner.finish().verdict;
            let found = verdict.as_ref().map(Verdict::cause);
            assert_eq!(found, cause, "{reason}, cut at {cut}");
        }
    }
}

#[test]
fn every_cut_gives_the_same() {
    for case in CASES {
        let body = case.body.as_bytes();
        let whole = case.scan([body]);
        assert_eq!(
            case.scan(body.chunks(1)),
            whole,
            "{} byte by byte",
            case.name
        );
        for at in 0..=body.len() {
            let (left, right) = body.split_at(at);
            assert_eq!(case.scan([left, right]), whole, "{} cut at {at}", case.name);
        }
    }
}

#[test]
fn every_line_ending_gives_the_same() {
    for case in CASES.iter().filter(|case| case.name.ends_with(".sse")) {
        let whole = case.scan([case.body.as_bytes()]);
        for ending in ["\r\n", "\r"] {
            for mark in ["", "\u{feff}"] {
                let body = format!("{mark}{}", case.body.replace('\n', ending));
                assert_eq!(
                    case.scan([body.as_bytes()]),
                    whole,
                    "{} {ending:?}",
                    case.name
                );
                assert_eq!(
                    case.scan(body.as_bytes().chunks(1)),
                    whole,
                    "{} {ending:?}",
                    case.name
                );
            }
        }
        let unclosed = case.body.trim_end().as_bytes();
        assert_eq!(
            case.scan([unclosed]),
            whole,
            "{} without its last line break",
            case.name
        );
    }
}

#[test]
fn a_cut_stream_keeps_what_it_had() {
    let case = CASES
        .iter()
        .find(|case| case.name == "compat.sse")
        .expect("a case");
    let cut = case.body.find('!').expect("text");
    let scanned = case.scan([&case.body.as_bytes()[..cut]]);
    assert_eq!((scanned.usage, scanned.is_final), (None, false));
    assert_eq!(scanned.delivered.tokens(), 4);
}

#[test]
fn an_event_of_any_size_is_read() {
    let text = "x".repeat(300_000);
    let event = format!(
        "data: {{\"output\":{{\"text\":\"{text}\",\"finish_reason\":\"stop\"}},\"usage\":{{\"input_tokens\":3,\"output_tokens\":4}}}}\n\n"
    );
    let mut scanner = Scanner::sse(Dialect::NativeText);
    for chunk in event.as_bytes().chunks(8_192) {
        scanner.push(chunk);
    }
    let scanned = scanner.finish();
    assert_eq!(scanned.usage.and_then(|usage| usage.total()), Some(7));
    assert_eq!(scanned.delivered.tokens(), 75_000);
    assert!(scanned.is_final);
}

#[test]
fn a_usage_object_that_is_too_long_is_skipped() {
    let blown = format!(
        r#"{{"usage":{{"a":"{}","total_tokens":7}}}}"#,
        "x".repeat(20_000)
    );
    let mut scanner = Scanner::json();
    scanner.push(blown.as_bytes());
    assert_eq!(scanner.finish().usage, None);
}

#[test]
fn usage_counts_only_in_its_own_position() {
    for (body, expected) in [
        (r#"{"usage":{"total_tokens":7}}"#, Some(7)),
        (r#" { "usage" : { "total_tokens" : 7 } } "#, Some(7)),
        (r#"{"a":[{"b":"}"}],"usage":{"total_tokens":7}}"#, Some(7)),
        (r#"{"a":"\\","usage":{"total_tokens":7}}"#, Some(7)),
        (r#"{"a":"\"","usage":{"total_tokens":7}}"#, Some(7)),
        (r#"{"a":"\u0022,{","usage":{"total_tokens":7}}"#, Some(7)),
        (r#"{"response":{"usage":{"total_tokens":7}}}"#, Some(7)),
        (r#"{"message":{"usage":{"total_tokens":7}}}"#, Some(7)),
        (r#"{"usage":{"total_tokens":7},"usage":null}"#, Some(7)),
        (
            r#"{"usage":{"usage":{"total_tokens":9},"total_tokens":7}}"#,
            Some(7),
        ),
        (r#"{"usage":{"total_tokens":7}"#, Some(7)),
        (r#"{"usage":{"total_tokens":7"#, None),
        (r#"{"usage":null}"#, None),
        (r#"{"usage":7}"#, None),
        (r#"{"usage":"{\"total_tokens\":7}"}"#, None),
        (r#"{"usage":[{"total_tokens":7}]}"#, None),
        (r#"{"x_groq":{"usage":{"total_tokens":7}}}"#, Some(7)),
        (r#"{"choices":[{"usage":{"total_tokens":7}}]}"#, Some(7)),
        (r#"{"choices":[{"a":{"usage":{"total_tokens":7}}}]}"#, None),
        (r#"{"choices":[[{"usage":{"total_tokens":7}}]]}"#, None),
        (r#"{"choices":{"a":{"usage":{"total_tokens":7}}}}"#, None),
        (r#"{"a":[{"usage":{"total_tokens":7}}]}"#, None),
        (r#"{"choices":{"usage":{"total_tokens":7}}}"#, None),
        (r#"{"response":[{"usage":{"total_tokens":7}}]}"#, None),
        (r#"{"response":{"a":{"usage":{"total_tokens":7}}}}"#, None),
        (r#"{"a":"usage","b":{"total_tokens":7}}"#, None),
        (r#"["usage",{"total_tokens":7}]"#, None),
        (r#"[{"usage":{"total_tokens":7}}]"#, None),
        (r#"{"text":"\"usage\":{\"total_tokens\":7}"}"#, None),
        ("", None),
        ("usage", None),
        ("<html>", None),
    ] {
        let mut scanner = Scanner::json();
        scanner.push(body.as_bytes());
        let scanned = scanner.finish();
        assert_eq!(
            scanned.usage.and_then(|usage| usage.total()),
            expected,
            "{body}"
        );
    }
}

#[test]
fn ordinary_events_are_no_errors() {
    for body in [
        r#"{"error":null,"code":null,"usage":null}"#,
        r#"{"choices":[{"error":{"code":"x"},"finish_reason":"stop"}]}"#,
        r#"{"output":{"code":"print()","error":"x"}}"#,
        r#"{"message":"hello"}"#,
        r#"{"code":"","message":"","output":{"text":"hi","finish_reason":"stop"}}"#,
        r#"{"code":200,"message":"ok"}"#,
    ] {
        let mut scanner = Scanner::json();
        scanner.push(body.as_bytes());
        assert_eq!(scanner.finish().verdict, None, "{body}");
    }
}

#[test]
fn the_scanner_is_chosen_by_the_headers() {
    let read = |content_type: Option<&str>, encoding: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert("content-type", value.parse().expect("a value"));
        }
        if let Some(value) = encoding {
            headers.insert("content-encoding", value.parse().expect("a value"));
        }
        let scanner = Scanner::for_response(&headers, Dialect::Chat)?;
        let name = format!("{scanner:?}");
        let name = name.strip_prefix("Scanner(\"").expect("a name");
        Ok(name.strip_suffix("\")").expect("a name").to_owned())
    };
    let ok = |name: &str| Ok(name.to_owned());
    let events = Some("text/event-stream");
    let no_type: Result<String, _> = Err(UnsupportedBody::ContentType);
    for (content_type, encoding, expected) in [
        (Some("application/json"), None, ok("unknown")),
        (Some("Application/JSON; charset=utf-8"), None, ok("unknown")),
        (Some("application/problem+json"), None, ok("unknown")),
        (Some("text/plain"), None, ok("unknown")),
        (Some("application/octet-stream"), None, ok("unknown")),
        (None, None, ok("unknown")),
        (Some("text/event-stream;charset=UTF-8"), None, ok("sse")),
        (events, Some("identity"), ok("sse")),
        (events, Some("gzip"), Err(UnsupportedBody::Encoded)),
        (events, Some("br"), Err(UnsupportedBody::Encoded)),
        (None, Some("zstd"), Err(UnsupportedBody::Encoded)),
        (Some("text/html"), None, no_type.clone()),
        (Some("application/jsonp"), None, no_type),
    ] {
        assert_eq!(read(content_type, encoding), expected, "{content_type:?}");
    }
}

#[test]
fn the_model_is_the_one_that_the_answer_names() {
    let long = "x".repeat(256);
    for (dialect, body, expected) in [
        (Dialect::Chat, r#"{"model":"qwen-plus"}"#, Some("qwen-plus")),
        (Dialect::Chat, r#"{"model":"org\/qwen"}"#, Some("org/qwen")),
        (Dialect::Chat, r#"{"model":"a","model":"b"}"#, Some("a")),
        (
            Dialect::Responses,
            r#"{"type":"response.created","response":{"model":"qwen-plus"}}"#,
            Some("qwen-plus"),
        ),
        (
            Dialect::Anthropic,
            r#"{"type":"message_start","message":{"model":"qwen-plus"}}"#,
            Some("qwen-plus"),
        ),
        (
            Dialect::Chat,
            &format!(r#"{{"model":"{long}"}}"#),
            Some(&*long),
        ),
        (Dialect::Chat, &format!(r#"{{"model":"{long}x"}}"#), None),
        (Dialect::Chat, r#"{"model":"\u0071wen"}"#, None),
        (Dialect::Chat, r#"{"model":""}"#, None),
        (Dialect::Chat, r#"{"model":null}"#, None),
        (Dialect::Chat, r#"{"model":7,"x":"qwen"}"#, None),
        (
            Dialect::Chat,
            r#"{"choices":[{"model":"qwen-plus"}]}"#,
            None,
        ),
        (Dialect::Chat, r#"{"usage":{"model":"qwen-plus"}}"#, None),
        (Dialect::Chat, r#"{"model":"qwen"#, None),
    ] {
        let event = format!("data: {body}\n\n");
        for piece in [1, 7, event.len()] {
            let mut scanner = Scanner::sse(dialect);
            event
                .as_bytes()
                .chunks(piece)
                .for_each(|piece| scanner.push(piece));
            assert_eq!(scanner.finish().model.as_deref(), expected, "{body}");
        }
    }
}

#[test]
fn an_event_like_the_last_one_counts_its_own_text() {
    let event = |text: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}],\"usage\":null}}\n\n"
        )
    };
    let events = [
        event("ab"),
        event("abcdef"),
        event("\\u4f60"),
        event("\\\\"),
        event("\\\""),
        event(""),
        event("你好"),
        "data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\n".to_owned(),
        event("x"),
        "data: {\"error\":{\"code\":\"Throttling\",\"message\":\"x\"}}\n\n".to_owned(),
        event("y"),
    ];
    let mut scanner = Scanner::sse(Dialect::Chat);
    events
        .iter()
        .for_each(|event| scanner.push(event.as_bytes()));
    let scanned = scanner.finish();
    assert_eq!(scanned.usage.and_then(|usage| usage.total()), Some(7));
    assert_eq!(
        scanned.verdict.map(|verdict| verdict.cause()),
        Some(Cause::Throttled)
    );
    // 12 ASCII characters and 3 others.
    assert_eq!(
        scanned.delivered.tokens(),
        (12_u64 * 5 + 3 * 13).div_ceil(20)
    );
}

/// Characters in strings that are members called so.
fn text_in(value: &Value, name: &str, count: &mut (u64, u64)) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, value)| text_in(value, key, count)),
        Value::Array(items) => items.iter().for_each(|item| text_in(item, "", count)),
        Value::String(text) if matches!(name, "content" | "text") => {
            let ascii = text.chars().filter(char::is_ascii).count() as u64;
            count.0 += ascii;
            count.1 += text.chars().count() as u64 - ascii;
        }
        _ => {}
    }
}

/// A count as some hosts write it: `120`, `120.0`, `"120"`.
fn count(value: &Value) -> Option<u64> {
    let decimal = |number: f64| match number {
        0.0..=9_007_199_254_740_992.0 => Some(number.ceil() as u64),
        _ if number.is_finite() && number > 0.0 => Some(u64::MAX),
        _ => None,
    };
    match value {
        Value::String(text) => {
            let whole = text.trim().parse().ok();
            whole.or_else(|| decimal(text.trim().parse().ok()?))
        }
        _ => value.as_u64().or_else(|| decimal(value.as_f64()?)),
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("usage".to_owned()),
        Just("content".to_owned()),
        Just("text".to_owned()),
        Just("total_tokens".to_owned()),
        "[\\PC\"\\\\\n]{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "[\\PC\"\\\\\n\t{}:,usage]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn pieces(body: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    borders.extend([0, body.len()]);
    borders.sort_unstable();
    borders
        .windows(2)
        .map(|pair| body[pair[0]..pair[1]].to_vec())
        .collect()
}

fn both(body: &[u8], cuts: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    for make in [
        Scanner::json,
        || Scanner::sse(Dialect::Chat),
        || Scanner::sse(Dialect::NativeText),
        || Scanner::sse(Dialect::Responses),
    ] {
        let mut whole = make();
        whole.push(body);
        let mut cut = make();
        for piece in pieces(body, cuts) {
            cut.push(&piece);
        }
        prop_assert_eq!(whole.finish(), cut.finish());
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        case in prop::sample::select((0..CASES.len()).collect::<Vec<_>>()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let case = &CASES[case];
        let pieces = pieces(case.body.as_bytes(), &cuts);
        let cut = case.scan(pieces.iter().map(Vec::as_slice));
        prop_assert_eq!(cut, case.scan([case.body.as_bytes()]));
    }

    #[test]
    fn any_bytes_are_survived(
        body in prop::collection::vec(any::<u8>(), 0..600),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        both(&body, &cuts)?;
    }

    #[test]
    fn any_soup_of_tokens_is_survived(
        soup in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", "\\", "\\u00e9", ":", ",", "\n", "\r", "\n\n", " ", "data:", "data", "event:error",
            ":HTTP_STATUS/429", "usage", "\"usage\":{", "\"total_tokens\":7", "\"error\":", "\"code\":\"Throttling\"",
            "\"content\":\"", "null", "7", "[DONE]", "é", "\u{feff}", "\"finish_reason\":\"stop\"",
        ]), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        both(soup.concat().as_bytes(), &cuts)?;
    }

    /// A full parser finds the same usage and the same text.
    #[test]
    fn agrees_with_a_full_parse(
        value in prop::collection::hash_map("usage|content|message2|a", json_value(), 0..4),
    ) {
        let value = Value::Object(value.into_iter().collect());
        let mut scanner = Scanner::json();
        scanner.push(value.to_string().as_bytes());
        let scanned = scanner.finish();
        let total = value.get("usage").and_then(|usage| usage.get("total_tokens")).and_then(count);
        let mut text = (0, 0);
        text_in(&value, "", &mut text);
        // Zeros beside a text are no usage.
        let total = total.filter(|total| *total > 0 || text == (0, 0));
        prop_assert_eq!(scanned.usage.and_then(|usage| usage.total_tokens), total);
        prop_assert_eq!(scanned.delivered.tokens(), (text.0 * 5 + text.1 * 13).div_ceil(20));
    }

    /// Events that are alike but for some piece are read as each of them alone.
    #[test]
    fn events_that_are_alike_give_the_same(
        texts in prop::collection::vec("[ab你\\\\\"u0\n\r{}]{0,6}", 1..12),
        frames in prop::collection::vec(prop::sample::select(vec![
            ("data: {\"choices\":[{\"delta\":{\"content\":\"", "\"}}],\"usage\":null}\n\n"),
            ("data: {\"choices\":[{\"delta\":{\"content\":\"", "\"}}],\"usage\":{\"total_tokens\":7}}\n\n"),
            ("data: {\"choices\":[{\"delta\":{\"content\":\"", "\"},\"finish_reason\":\"stop\"}]}\r\n\r\n"),
            ("data: {\"output\":{\"text\":\"", "\",\"finish_reason\":\"null\"}}\r\r"),
            ("event: error\ndata: {\"text\":\"", "\"}\n\n"),
            ("data: {\"delta\":\"", "\"}\n\n"),
            ("data: \"", "\"\n\n"),
        ]), 1..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let events: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(at, text)| {
                let (before, behind) = frames[at / 3 % frames.len()];
                format!("{before}{text}{behind}")
            })
            .collect();
        both(events.concat().as_bytes(), &cuts)?;
        for dialect in [Dialect::Chat, Dialect::NativeText, Dialect::Responses] {
            let mut scanner = Scanner::sse(dialect);
            events.iter().for_each(|event| scanner.push(event.as_bytes()));
            let mut bytewise = Scanner::sse(dialect);
            events.concat().bytes().for_each(|byte| bytewise.push(&[byte]));
            prop_assert_eq!(scanner.finish(), bytewise.finish());
        }
    }
}
