//! What a verdict over an error answer costs, and the search for an error in an event that is none.
//!
//! `cargo bench -p tower-qwen-tokens --bench verdict`
#![allow(missing_docs)]

use std::{hint::black_box, time::Duration, time::SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, StatusCode};
use tower_qwen_tokens::Verdict;

/// The refusal of a request, as Model Studio writes it: about 120 bytes.
const SMALL: &str = r#"{"code":"Throttling.RateQuota","message":"Requests rate limit exceeded, please try again later.","request_id":"r-1"}"#;

const EVENT: &str = r#"{"error":{"code":"limit_burst_rate","message":"Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.","type":"limit_burst_rate"},"id":"chatcmpl-e30f5ae7"}"#;

const ORDINARY: &str = r#"{"choices":[{"finish_reason":null,"logprobs":null,"delta":{"content":" quick"},"index":0}],"object":"chat.completion.chunk","usage":null,"created":1728455191,"system_fingerprint":null,"service_tier":"default","model":"qwen-plus","id":"chatcmpl-e30f5ae7-3063-93c4-90fe-beb5f900bd57"}"#;

/// An error body of about 1 KB, whose decisive words come last.
fn kilobyte() -> String {
    let trace = "upstream attempt failed, next deployment; ".repeat(18);
    format!(
        r#"{{"error":{{"message":"{trace}Rate limit reached on tokens per min (TPM): Limit 30000, Used 30000, Requested 5. Please try again in 5.289s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}},"request_id":"e30f5ae7-3063-93c4-90fe-beb5f900bd57"}}"#
    )
}

/// The page of a proxy: 4 KiB of text that is no JSON.
fn page() -> String {
    let mut page = String::from("<html><head><title>502 Bad Gateway</title></head><body>\n");
    while page.len() < 4_096 {
        page.push_str("<p>The server could not answer your request at this time.</p>\n");
    }
    page.truncate(4_096);
    page
}

fn verdict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict");
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().expect("a value"));
    headers.insert("x-request-id", "e30f5ae7-3063".parse().expect("a value"));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_392_000);
    for (name, status, body) in [
        ("of response, 120 B", 429, SMALL.to_owned()),
        ("of response, 1 KB", 429, kilobyte()),
        ("of response, page of 4 KiB", 502, page()),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        group.bench_function(name, |b| {
            b.iter(|| {
                Verdict::of_response(black_box(status), &headers, black_box(body.as_bytes()), now)
            });
        });
    }
    for (name, event, is_error) in [
        ("of event, error", EVENT, true),
        ("of event, none", ORDINARY, false),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                let verdict = Verdict::of_event(black_box(event.as_bytes()), None);
                assert_eq!(verdict.is_some(), is_error);
                verdict
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(40).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = verdict
}
criterion_main!(benches);
