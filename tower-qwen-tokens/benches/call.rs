//! What reading a request costs, once per call.
//!
//! `cargo bench -p tower-qwen-tokens --bench call`
#![allow(missing_docs)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::FutureExt;
use http::Request;
use http_body_util::Full;
use tower_qwen_tokens::{
    Call,
    call::{ReadCall, ReadOptions},
};

fn request(body: Bytes) -> Request<Full<Bytes>> {
    Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .expect("a request")
}

/// A conversation of about so many bytes.
fn conversation(bytes: usize) -> Bytes {
    let message = "{\"role\":\"user\",\"content\":\"The quick brown fox jumps over the lazy dog. 你好，世界！ Line\\nbreak, \\\"quotes\\\".\"}";
    let messages = vec![message; bytes.div_ceil(message.len())].join(",");
    Bytes::from(format!(
        "{{\"model\":\"qwen-plus\",\"stream\":true,\"max_tokens\":512,\"messages\":[{messages}]}}"
    ))
}

/// One message of so many bytes of an image.
fn image(bytes: usize) -> Bytes {
    Bytes::from(format!(
        "{{\"model\":\"qwen-vl-plus\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:image/png;base64,{}\"}}}}]}}]}}",
        "iVBORw0KGgo".repeat(bytes.div_ceil(11))
    ))
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("call read");
    for (name, body) in [
        ("4 kB of text", conversation(4_000)),
        ("1 MB of text", conversation(1_000_000)),
        ("1 MB image", image(1_000_000)),
    ] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &body, |b, body| {
            b.iter(|| {
                let read = ReadCall::new(request(black_box(body.clone())), &ReadOptions::default());
                let request = read.now_or_never().expect("at once").expect("readable");
                assert!(Call::of(&request).is_some_and(|call| call.model_call().is_some()));
                request
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2)).warm_up_time(std::time::Duration::from_millis(500));
    targets = read
}
criterion_main!(benches);
