//! What the scan of an answer costs in memory, per event of a stream.
//!
//! `cargo bench -p tower-qwen-tokens --bench scan`
#![allow(missing_docs)]

use std::{fmt::Write, hint::black_box};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tower_qwen_tokens::{Dialect, scan::Scanner};

const EVENTS: usize = 1_000;
/// Pieces of an answer as a model gives them, one of them with an escape.
const PIECES: [&str; 8] = [
    " The",
    " quick",
    "你好",
    "，世界",
    " brown fox",
    ".\\n",
    " jumps",
    " over",
];

/// A compatible stream: about 300 bytes an event, alike but for the piece of text.
fn compatible() -> Vec<String> {
    let mut events: Vec<String> = (0..EVENTS)
        .map(|at| {
            let piece = PIECES[at % PIECES.len()];
            format!(
                "data: {{\"choices\":[{{\"finish_reason\":null,\"logprobs\":null,\"delta\":{{\"content\":\"{piece}\"}},\"index\":0}}],\
                 \"object\":\"chat.completion.chunk\",\"usage\":null,\"created\":1728455191,\"system_fingerprint\":null,\"service_tier\":\"default\",\
                 \"model\":\"qwen-plus\",\"id\":\"chatcmpl-e30f5ae7-3063-93c4-90fe-beb5f900bd57\"}}\n\n"
            )
        })
        .collect();
    events.push("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":22,\"completion_tokens\":17,\"total_tokens\":39}}\n\ndata: [DONE]\n\n".into());
    events
}

/// The same, but each event has its number.
fn numbered() -> Vec<String> {
    compatible()
        .into_iter()
        .enumerate()
        .map(|(at, event)| event.replace("1728455191", &format!("{}", 1_728_455_191 + at)))
        .collect()
}

/// A native stream: usage in every event, cumulative.
fn native() -> Vec<String> {
    (1..=EVENTS)
        .map(|at| {
            let piece = PIECES[at % PIECES.len()];
            let mut event = String::new();
            write!(
                event,
                "id:{at}\nevent:result\n:HTTP_STATUS/200\ndata:{{\"output\":{{\"choices\":[{{\"message\":{{\"content\":\"{piece}\",\"role\":\"assistant\"}},\
                 \"finish_reason\":\"null\"}}]}},\"usage\":{{\"total_tokens\":{},\"input_tokens\":16,\"output_tokens\":{at}}},\
                 \"request_id\":\"5b441aa7-b69b-9dd5-8cc0-ab2b9f8db0bc\"}}\n\n",
                at + 16
            )
            .expect("writing to a string");
            event
        })
        .collect()
}

/// A stream of the responses dialect: events are numbered.
fn responses() -> Vec<String> {
    let event = |at: usize| {
        let piece = PIECES[at % PIECES.len()];
        format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{at},\
             \"item_id\":\"msg_5b441aa7-b69b-9dd5-8cc0-ab2b9f8db0bc\",\"output_index\":0,\"content_index\":0,\
             \"delta\":\"{piece}\",\"logprobs\":[]}}\n\n"
        )
    };
    let usage = "data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":20,\"output_tokens\":19,\"total_tokens\":39}}}\n\n";
    (0..EVENTS).map(event).chain([usage.into()]).collect()
}

/// A compatible stream in which no two events are alike: each has its own id.
fn unlike() -> Vec<String> {
    let with_id = |(at, event): (usize, String)| event.replace("e30f5ae7", &format!("{at:08x}"));
    compatible().into_iter().enumerate().map(with_id).collect()
}

/// The same, and each has a time with a fraction and padding of its own, in members that mean nothing.
fn stamped() -> Vec<String> {
    let stamp = |(at, event): (usize, String)| {
        let padding = &"Xb9TqLw2Zk7RmVc4"[..at % 16];
        let stamp = format!(
            "\"elapsed\":{}.{:03},\"obfuscation\":\"{padding}\",\"usage\":null",
            at / 30,
            at * 7 % 1_000
        );
        event.replace("\"usage\":null", &stamp)
    };
    unlike().into_iter().enumerate().map(stamp).collect()
}

/// Arguments of a tool, in pieces, each with the name of its call.
fn tool_calls() -> Vec<String> {
    let call = |(at, event): (usize, String)| {
        let arguments = format!(
            "\"tool_calls\":[{{\"index\":0,\"id\":\"call_{at:08x}\",\"type\":\"function\",\"function\":{{\"name\":\"\",\"arguments\":\"x"
        );
        let piece = event.replace("\"content\":\"", &arguments);
        piece.replacen("\"},\"index\":0}]", "\"}}]},\"index\":0}]", 1)
    };
    unlike().into_iter().enumerate().map(call).collect()
}

fn scan(dialect: Dialect, chunks: &[impl AsRef<[u8]>]) -> u64 {
    let mut scanner = Scanner::sse(dialect);
    for chunk in chunks {
        scanner.push(black_box(chunk.as_ref()));
    }
    let scanned = scanner.finish();
    assert!(scanned.is_final || dialect == Dialect::NativeMultimodal);
    scanned.usage.and_then(|usage| usage.total()).unwrap_or(0)
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    for (name, dialect, events) in [
        ("compatible", Dialect::Chat, compatible()),
        ("numbered", Dialect::Chat, numbered()),
        ("native", Dialect::NativeMultimodal, native()),
        ("responses", Dialect::Responses, responses()),
        ("unlike", Dialect::Chat, unlike()),
        ("stamped", Dialect::Chat, stamped()),
        ("tool calls", Dialect::Chat, tool_calls()),
    ] {
        let whole = events.concat();
        // One element is one event, so that the time per element is the time per event.
        group.throughput(Throughput::Elements(EVENTS as u64));
        group.bench_with_input(
            BenchmarkId::new(name, "event by event"),
            &events,
            |b, events| {
                b.iter(|| scan(dialect, events));
            },
        );
        let chunks: Vec<&[u8]> = whole.as_bytes().chunks(8_192).collect();
        group.bench_with_input(
            BenchmarkId::new(name, "8 KiB chunks"),
            &chunks,
            |b, chunks| {
                b.iter(|| scan(dialect, chunks));
            },
        );
        let chunks: Vec<&[u8]> = whole.as_bytes().chunks(100).collect();
        group.bench_with_input(
            BenchmarkId::new(name, "100 B chunks"),
            &chunks,
            |b, chunks| {
                b.iter(|| scan(dialect, chunks));
            },
        );
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let answer = format!(
        "{{\"choices\":[{{\"message\":{{\"role\":\"assistant\",\"content\":\"{}\"}}}}],\"usage\":{{\"total_tokens\":7}}}}",
        "A sentence of an answer, with a line break\\n".repeat(25_000)
    );
    let mut group = criterion.benchmark_group("scan json");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("1 MB answer", |b| {
        b.iter(|| {
            let mut scanner = Scanner::json();
            for chunk in answer.as_bytes().chunks(16_384) {
                scanner.push(black_box(chunk));
            }
            scanner.finish()
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(500));
    targets = streams, whole
}
criterion_main!(benches);
