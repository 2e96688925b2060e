use std::sync::Arc;

use proptest::{prelude::*, sample::Index};

use crate::{
    Dialect,
    scan::{EventProgress, Scanned, Scanner, json::Json},
};

use super::*;

const DIALECTS: [Dialect; 5] = [
    Dialect::Chat,
    Dialect::Completions,
    Dialect::NativeText,
    Dialect::Responses,
    Dialect::Anthropic,
];

/// Events in which `T` stands for a text, `N` for a number, `V` for a value that means nothing, `@` for `DONE`.
const SHAPES: &[&str] = &[
    "data: {\"choices\":[{\"delta\":{\"content\":\"T\"},\"index\":0}],\"usage\":null,\"created\":N,\"id\":\"a\"}\n\n",
    "data: {\"created\":N,\"choices\":[{\"delta\":{\"content\":\"T\"}}],\"usage\":{\"prompt_tokens\":N,\"completion_tokens\":N}}\n\n",
    "data: {\"created\":N,\"choices\":[],\"usage\":{\"prompt_tokens\":N,\"completion_tokens\":N}}\n\n",
    "data: {\"text\":\"T\",\"choices\":[],\"usage\":{\"total_tokens\":N}}\n\n",
    "id:N\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":{\"choices\":[{\"message\":{\"content\":\"T\",\"reasoning_content\":\"T\"},\"finish_reason\":\"null\"}]},\"usage\":{\"total_tokens\":N,\"input_tokens\":16,\"models\":[{\"input_tokens\":N},{\"input_tokens\":N}]}}\n\n",
    "id: N\ndata: {\"output\":{\"text\":\"T\",\"finish_reason\":\"stop\"},\"usage\":{\"input_tokens\":N,\"output_tokens\":N}}\r\n\r\n",
    "event: response.output_text.delta\ndata: {\"type\":\"x\",\"sequence_number\":N,\"delta\":\"T\"}\n\n",
    "data: {\"response\":{\"usage\":{\"input_tokens\":N,\"output_tokens\":7}},\"delta\":\"T\",\"text\":\"T\"}\n\n",
    "data: {\"usage\":{\"content\":\"T\",\"total_tokens\":N}}\n\n",
    "data: {\"usage\":{\"content\":\"T\",\"total_tokens\":N},\"text\":\"T\"}\n\n",
    "data: {\"usage\":{\"total_tokens\":N},\"message\":{\"usage\":{\"output_tokens\":N}},\"text\":\"T\"}\n\n",
    "data: {\"text\":\"T\",\"choices\":[1],\"n\":N,\"usage\":{\"total_tokens\":N}}\n\n",
    "data: {\"text\":\"T\"}{\"choices\":[],\"usage\":{\"total_tokens\":N}}\n\n",
    "data: {\"text\":\"T\",\ndata: \"n\":N}\n\n",
    "data: {\"n\":N,\ndata: \"text\":\"T\"}\n\n",
    "data: {\"code\":N,\"text\":\"T\"}\n\n",
    "event: error\ndata: {\"text\":\"T\"}\n\n",
    "data: [@]\n\n",
    "data: {\"text\":\"T\",\"x\":[N, N,N]}\r\r",
    "data: {\"choices\":[{\"index\":N,\"delta\":{\"content\":\"T\"}}],\"usage\":{\"prompt_tokens\":N,\"completion_tokens\":N}}\n\n",
    "data: {\"usage\":{\"completion_tokens\":N,\"total_tokens\":N},\"choices\":[{\"text\":\"T\",\"index\":N}]}\n\n",
    "data: {\"choices\":[{\"index\":N,\"delta\":{\"content\":\"T\"},\"usage\":{\"total_tokens\":N}}]}\n\n",
    "data: {\"choices\":[{\"index\":N,\"text\":\"T\"},{\"text\":\"T\",\"index\":N,\"usage\":{\"total_tokens\":N}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"T\"},\"index\":N}],\"x_groq\":{\"usage\":{\"total_tokens\":N}}}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"T\"},\"index\":N,\"finish_reason\":\"stop\"}],\"n\":N}\n\n",
    "data: {\"choices\":[{\"delta\":{\"reasoning\":\"T\",\"reasoning_content\":\"T\"}}]}\n\n",
    "data: {\"reasoning\":null,\"reasoning_details\":[{\"text\":\"T\"},{\"text\":\"T\"}],\"n\":N}\n\n",
    "data: {\"item_id\":\"V\",\"text\":\"T\",\"at\":N,\"padding\":\"V\",\"took\":N}\n\n",
    "data: {\"at\":N.5,\"choices\":[{\"delta\":{\"content\":\"T\",\"tool_calls\":[{\"index\":N,\"id\":\"V\"}]}}],\"usage\":{\"tier\":\"V\",\"total_tokens\":N},\"request_id\":\"V\"}\n\n",
    "data: {\"request_id\":\"V\" \"text\":\"T\",\"x\":\"V\" , \"y\" : \"V\" }\n\n",
    "data: {\"request_id\":\"V\",\"response\":{\"text\":\"T\",\"type\":\"V\",\"usage\":{\"total_tokens\":N}}}\n\n",
    "{\"text\":\"T\",\"usage\":{\"total_tokens\":N}}\n",
    "{\"text\":\"T\",\n \"usage\":{\"total_tokens\":N}}\n\n",
    "data: {\"text\":\"T\"}\n{\"usage\":{\"total_tokens\":N}}\n",
];

const TEXTS: &[&str] = &[
    "",
    " The",
    "你好，世界",
    ".\\n",
    "\\\"",
    "\\u4f60\\ud83d\\ude42",
    "\\q",
    "a text that is longer than the others are, by far",
    "\\u12",
    "\\",
    "x\ny",
];

/// Some of them look like names of members that mean something.
const VALUES: &[&str] = &[
    "7f3a", "", "c41d90", "error", "usage", "text", "x\\\"y", "\\u12", "x\ny",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "17",
    "1728455191",
    "9999999999999999999",
    "18446744073709551616",
    "007",
    "-1",
    "1.5",
    "1e999",
    "null",
    "",
];

const EDITS: &[u8] = b"\"\\{}[]:,\n\r 0x";

fn fill(shape: &str, number: &str, text: &str) -> String {
    let event = shape.replace('N', number).replace('T', text);
    event.replace('V', text).replace('@', "DONE")
}

fn event() -> impl Strategy<Value = (Index, Vec<Index>, Vec<Index>, Vec<Index>)> {
    // Most texts and numbers are ordinary ones, so that most events are alike.
    (
        any::<Index>(),
        prop::collection::vec(any::<Index>(), 2),
        prop::collection::vec(any::<Index>(), 4),
        prop::collection::vec(any::<Index>(), 3),
    )
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let shapes = prop::collection::vec(prop::sample::select(SHAPES), 1..3);
    let events = prop::collection::vec(event(), 2..10);
    let edits = prop::collection::vec((any::<Index>(), prop::sample::select(EDITS), 0..3), 0..3);
    let ordinary = any::<bool>();
    (shapes, events, edits, ordinary).prop_map(|(shapes, events, edits, ordinary)| {
        let (texts, numbers) = if ordinary {
            (&TEXTS[..8], &NUMBERS[..6])
        } else {
            (TEXTS, NUMBERS)
        };
        let mut stream = Vec::new();
        for (shape, some_texts, some_numbers, some_values) in events {
            let mut event = (*shape.get(&shapes)).to_owned();
            for text in some_texts {
                event = event.replacen('T', texts[text.index(texts.len())], 1);
            }
            for value in some_values {
                event = event.replacen('V', VALUES[value.index(VALUES.len())], 1);
            }
            for number in some_numbers {
                event = event.replacen('N', numbers[number.index(numbers.len())], 1);
            }
            stream.extend(event.replace('@', "DONE").bytes());
        }
        for (at, byte, edit) in edits {
            let at = at.index(stream.len());
            match edit {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
        }
        stream
    })
}

fn pieces<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    borders.extend([0, stream.len()]);
    borders.sort_unstable();
    borders
        .windows(2)
        .map(|pair| &stream[pair[0]..pair[1]])
        .collect()
}

/// How the events ended and what may still become of the present one at each cut, with what was
/// found.
fn scan(
    dialect: Dialect,
    pieces: &[&[u8]],
    in_full: bool,
) -> (Vec<EventProgress>, Vec<bool>, Scanned) {
    scan_by(Scanner::sse(dialect), pieces, in_full)
}

/// The same with what other streams have brought.
fn scan_knowing(
    dialect: Dialect,
    pieces: &[&[u8]],
    known: &Arc<KnownEvents>,
) -> (Vec<EventProgress>, Vec<bool>, Scanned) {
    scan_by(Scanner::sse(dialect).share(known), pieces, false)
}

fn scan_by(
    mut scanner: Scanner,
    pieces: &[&[u8]],
    in_full: bool,
) -> (Vec<EventProgress>, Vec<bool>, Scanned) {
    let (mut events, mut at_cuts) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let (taken, progress) = scanner.push_event(rest);
            rest = &rest[taken..];
            if matches!(progress, EventProgress::Ended(_)) {
                events.push(progress);
            }
            if in_full {
                scanner.reset_template();
            }
        }
        at_cuts.push(scanner.may_be_usage_only());
    }
    let is_usage_only = scanner.is_usage_only();
    at_cuts.push(is_usage_only);
    (events, at_cuts, scanner.finish())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Events that are compared with a pattern are what they are when they are read in full.
    #[test]
    fn what_is_compared_is_as_if_read(
        stream in stream(),
        dialect in prop::sample::select(&DIALECTS[..]),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let mut pieces = pieces(&stream, &cuts);
        let compared = scan(dialect, &pieces, false).2;
        prop_assert_eq!(&compared, &scan(dialect, &pieces, true).2);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(compared, scan(dialect, &bytes, false).2);
        // Behind a carriage return only a line feed, or another byte, shows that the event has ended.
        pieces.push(b"\n");
        prop_assert_eq!(scan(dialect, &pieces, false), scan(dialect, &pieces, true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What other streams have brought changes nothing.
    #[test]
    fn what_is_known_changes_nothing(
        streams in prop::collection::vec(stream(), 2..6),
        dialect in prop::sample::select(&DIALECTS[..]),
        cuts in prop::collection::vec(any::<Index>(), 0..12),
    ) {
        let known = Arc::default();
        for stream in &streams {
            scan_knowing(dialect, &[stream], &known);
        }
        for stream in &streams {
            let mut pieces = pieces(stream, &cuts);
            pieces.push(b"\n");
            let knowing = scan_knowing(dialect, &pieces, &known);
            prop_assert_eq!(knowing, scan(dialect, &pieces, true));
        }
    }
}

#[test]
fn what_one_stream_has_brought_changes_nothing_in_the_next() {
    for first in SHAPES {
        for second in SHAPES {
            let stream = |number: &str, text: &str| {
                [first, second]
                    .map(|shape| fill(shape, number, text))
                    .concat()
            };
            let before = stream("7", "x").replace("\"a\"", "\"c\"");
            for (number, text) in [("0", "a"), ("17", ""), ("9", "\\n"), ("null", "你")] {
                let stream = stream(number, text);
                for dialect in DIALECTS {
                    let known = Arc::default();
                    scan_knowing(dialect, &[before.as_bytes()], &known);
                    let (left, right) = stream.as_bytes().split_at(stream.len() / 2);
                    for pieces in [&[stream.as_bytes()][..], &[left, right]] {
                        let knowing = scan_knowing(dialect, pieces, &known);
                        assert_eq!(knowing, scan(dialect, pieces, true), "{before}{stream}");
                    }
                }
            }
        }
    }
}

/// A stream of a compatible host: its name, the model, a text and the tokens.
fn chat(id: &str, model: &str, text: &str, tokens: u32) -> String {
    let chunk = |rest: &str| {
        format!("data: {{{rest},\"created\":17,\"model\":\"{model}\",\"id\":\"{id}\"}}\n\n")
    };
    let choice = |delta: &str, finish: &str| {
        chunk(&format!(
            "\"choices\":[{{\"delta\":{delta},\"finish_reason\":{finish},\"index\":0}}],\"usage\":null"
        ))
    };
    [
        choice("{\"role\":\"assistant\",\"content\":\"\"}", "null"),
        choice(&format!("{{\"content\":\"{text}\"}}"), "null"),
        choice("{}", "\"stop\""),
        chunk(&format!(
            "\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{tokens}}}"
        )),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

#[test]
fn a_stream_is_known_from_the_one_before() {
    let known: Arc<KnownEvents> = Arc::default();
    let before = chat("a", "qwen-plus", "one", 7);
    scan_knowing(Dialect::Chat, &[before.as_bytes()], &known);
    assert_eq!(known.count(), 5);
    for (id, model, text, tokens) in [("b", "qwen-max", "two", 0), ("", "", "", 8)] {
        let stream = chat(id, model, text, tokens);
        let pieces = [stream.as_bytes()];
        let knowing = scan_knowing(Dialect::Chat, &pieces, &known);
        assert_eq!(knowing, scan(Dialect::Chat, &pieces, true));
        assert_eq!(knowing.2.model.as_deref().unwrap_or_default(), model);
        // All of its events matched: nothing was learned.
        assert_eq!(known.count(), 5);
    }
}

#[test]
fn streams_that_are_unlike_fill_no_memory() {
    let known: Arc<KnownEvents> = Arc::default();
    for number in 0..200 {
        let stream = format!("data: {{\"text\":\"a\",\"b\":\"{number}\"}}\n\n");
        scan_knowing(Dialect::Chat, &[stream.as_bytes()], &known);
    }
    assert_eq!(known.count(), 8);
}

#[test]
fn every_cut_of_every_shape_gives_the_same() {
    for shape in SHAPES {
        for dialect in DIALECTS {
            let event = |number: &str, text: &str| fill(shape, number, text);
            let stream = [event("1", "a"), event("17", "bc\\n"), event("0", "你")].concat();
            for at in 0..=stream.len() {
                let (left, right) = stream.as_bytes().split_at(at);
                let compared = scan(dialect, &[left, right], false);
                assert_eq!(
                    compared,
                    scan(dialect, &[left, right], true),
                    "{shape} cut at {at}"
                );
            }
        }
    }
}

fn read_in_full(event: &str, json: &mut Json, template: &mut EventTemplate) {
    let data = event.find('{').expect("data");
    json.push(event[data..].trim_end().as_bytes());
    if let Some((outline, effect)) = json.outline() {
        template.learn(data, outline, json.usage_place(), effect);
    }
    json.end_document();
    template.end_event(event.as_bytes());
}

/// How an event compares with another one that was read in full.
fn compare(read: &str, event: &str) -> Match {
    let mut json = Json::default();
    let mut template = EventTemplate::default();
    read_in_full(read, &mut json, &mut template);
    template.try_match(event.as_bytes(), &mut json)
}

#[test]
fn every_value_in_every_shape_gives_the_same() {
    let values = TEXTS.iter().map(|text| ("9", *text));
    let values = values.chain(NUMBERS.iter().map(|number| (*number, "x")));
    for (number, text) in values {
        for shape in SHAPES {
            let event = |number: &str, text: &str| fill(shape, number, text);
            // The usage of the second one is not read unless the third one is unlike.
            let stream = [event("7", "a"), event("8", "b"), event(number, text)].concat();
            let pieces = [stream.as_bytes()];
            for dialect in DIALECTS {
                let compared = scan(dialect, &pieces, false);
                assert_eq!(compared, scan(dialect, &pieces, true), "{stream}");
            }
        }
    }
}

#[test]
fn events_are_compared_where_they_may_be() {
    let event = |number: &str, text: &str| {
        format!("id:{number}\ndata: {{\"n\":{number},\"text\":\"{text}\",\"a\":\"b\"}}\n\n")
    };
    let read = event("9", "text");
    for (number, text) in [("9", "text"), ("10", ""), ("0", "\\u4f60\\\""), ("1", "你")] {
        let event = event(number, text);
        assert_eq!(compare(&read, &event), Match::Whole(event.len()));
        assert_eq!(
            compare(&read, &format!("{event}x")),
            Match::Whole(event.len())
        );
        let half = &event[..event.len() / 2];
        assert_eq!(compare(&read, half), Match::Partial, "{half}");
    }
    for (number, text) in [
        ("07", "x"),
        ("-1", "x"),
        ("1.5", "x"),
        ("", "x"),
        ("1", "x\n"),
    ] {
        assert_eq!(compare(&read, &event(number, text)), Match::Mismatch);
    }
    assert_eq!(
        compare(&read, &read.replace("\"b\"", "\"c\"")),
        Match::Mismatch
    );
}

#[test]
fn nothing_is_compared_with_what_must_be_read() {
    for read in [
        "data: {\"n\":1}\n\n",
        "data: {\"choices\":[],\"usage\":{},\"text\":\"\"}\n\n",
        "data: {\"usage\":{\"text\":\"\"}}\n\n",
        "data: {\"usage\":{},\"usage\":{},\"text\":\"\"}\n\n",
        "data: {\"text\":\"\"}\r",
        "data: {\"n\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"text\":\"\"}\n\n",
        &format!("data: {{\"text\":\"{}\"}}\n\n", "x".repeat(2_048)),
    ] {
        assert_eq!(compare(read, read), Match::Mismatch, "{read}");
    }
}

/// Three events in which ids, times and padding differ: the fourth is compared, and not read.
#[test]
fn members_that_differ_are_learned() {
    for shape in [
        "data: {\"item_id\":\"V\",\"text\":\"a\",\"obfuscation\":\"V\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"V\",\"arguments\":\"a\"}]}}]}\n\n",
        "data: {\"text\":\"a\",\"elapsed\":N,\"request_id\":\"V\"}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\",\"at\":\"V\"}}],\"elapsed\":N,\"usage\":null}\n\n",
    ] {
        let (mut json, mut template) = (Json::default(), EventTemplate::default());
        let events = [
            ("a", "1.5"),
            ("bc", "1.75"),
            ("", "2.125"),
            ("d\\\"e", "-0.5e3"),
        ];
        let found = events.map(|(value, number)| {
            let event = shape.replace('V', value).replace('N', number);
            let found = template.try_match(event.as_bytes(), &mut json);
            if found == Match::Mismatch {
                read_in_full(&event, &mut json, &mut template);
            }
            found == Match::Whole(event.len())
        });
        assert_eq!(found.last(), Some(&true), "{shape} {found:?}");
    }
}

#[test]
fn the_first_text_counts_as_it_comes() {
    let mut scanner = Scanner::sse(Dialect::Chat);
    scanner.push(b"data: {\"text\":\"\"}\n\n");
    assert!(!scanner.has_streamed());
    scanner.push(b"data: {\"text\":\"a");
    assert!(scanner.has_streamed());
}
