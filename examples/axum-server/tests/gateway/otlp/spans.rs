use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::{
    collector::{Collector, attribute},
    upstream::Upstream,
};
use crate::{
    program::Program,
    raw::{Raw, ask, body, chat, head, stream, total},
    support::TestResult,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
pub(super) const FLAGS: [&str; 3] = [
    "--admin-key=sk-secret-admin",
    "--key=acme=sk-secret-acme",
    "--upstream-key=sk-secret-upstream",
];

/// A request with the header that names its caller's trace.
fn traced(request: &str) -> String {
    let header =
        format!("host: gateway\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: own=1");
    request.replace("host: gateway", &header)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Stops it, and waits until it has ended well; gives its log.
pub(super) fn stopped(mut program: Program) -> TestResult<String> {
    program.signal("TERM")?;
    let (code, log) = program.log_to_its_end()?;
    assert_eq!(code, Some(0), "{log}");
    Ok(log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_a_span_of_its_callers_trace_and_each_attempt_one_of_the_calls() -> TestResult {
    let collector = Collector::start().await?;
    let (upstream, flag) = Upstream::start().await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.address()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-own=collectors-secret"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
    ];
    let program = Program::start_with(variables, &[&FLAGS[..], &[&*flag]].concat())?;
    let prompt = json!({"messages": [{"role": "user", "content": "secret rivers"}]});
    let prompt = body("qwen-plus", prompt).to_string();
    let whole = format!("{}\r\n{prompt}", head("sk-secret-acme", Some(prompt.len())));
    let whole = whole.replace("completions HTTP", "completions?own=secret HTTP");
    let whole = whole.replace("host: gateway", "host: gateway\r\nx-request-id: one");
    assert_eq!(ask(&program, &traced(&whole)).await?.status, 200);
    let server = flag.trim_start_matches("--upstream=http://127.0.0.1:");
    let port: i64 = server.trim_end_matches("/v1").parse()?;
    stopped(program)?;

    let all = collector.all();
    let call = all.one("chat qwen-plus")?;
    assert_eq!((hex(&call.trace_id), call.kind), (TRACE.to_owned(), 3));
    assert_eq!(hex(&call.parent_span_id), CALLER);
    assert_eq!(call.status.clone().unwrap_or_default().code, 0);
    for (name, expected) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("dashscope")),
        ("gen_ai.request.model", json!("qwen-plus")),
        ("gen_ai.response.model", json!("qwen-plus-2026")),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("gen_ai.usage.input_tokens", json!(1_000)),
        ("gen_ai.usage.output_tokens", json!(200)),
        ("http.response.status_code", json!(200)),
        ("server.address", json!("127.0.0.1")),
        ("server.port", json!(port)),
        ("error.type", Value::Null),
        ("tower_qwen.request_id", json!("one")),
        ("tower_qwen.tenant", json!("acme")),
        ("tower_qwen.upstream", json!("upstream")),
        ("tower_qwen.attempts", json!(2)),
        ("tower_qwen.cost", json!(0.00064)),
        ("tower_qwen.currency", json!("USD")),
        ("tower_qwen.queue_wait", json!(0.0)),
    ] {
        assert_eq!(attribute(&call.attributes, name), expected, "{name}");
    }
    let waited = attribute(&call.attributes, "tower_qwen.retry_wait");
    let took = (call.end_time_unix_nano - call.start_time_unix_nano) as f64 / 1e9;
    assert!(waited.as_f64() > Some(0.0) && waited.as_f64() < Some(took));

    let attempts = all.named("POST");
    let saw: Vec<_> = attempts
        .iter()
        .map(|span| Some(format!("00-{TRACE}-{}-01", hex(&span.span_id))))
        .collect();
    assert_eq!(upstream.saw("traceparent"), saw);
    assert_eq!(
        upstream.saw("tracestate"),
        vec![Some("own=1".to_owned()); 2]
    );
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    for (span, (status, error, before)) in attempts.iter().zip([
        (503, json!("503"), Value::Null),
        (200, Value::Null, json!(1)),
    ]) {
        assert_eq!((&span.parent_span_id, span.kind), (&call.span_id, 3));
        for (name, expected) in [
            ("http.request.method", json!("POST")),
            ("url.full", json!(url)),
            ("server.port", json!(port)),
            ("http.response.status_code", json!(status)),
            ("http.request.resend_count", before),
            ("error.type", error),
        ] {
            assert_eq!(attribute(&span.attributes, name), expected, "{name}");
        }
    }
    assert_eq!(all.spans.len(), 3);

    let schema = "https://opentelemetry.io/schemas/1.41.0";
    assert!(!all.schemas.is_empty() && all.schemas.iter().all(|it| it == schema));
    for resource in &all.resources {
        for (name, value) in [
            ("service.name", "axum-server"),
            ("deployment.environment.name", "test"),
        ] {
            assert_eq!(attribute(&resource.attributes, name), value);
        }
    }
    assert!(
        all.headers
            .iter()
            .all(|it| it["x-own"] == "collectors-secret")
    );
    let text = String::from_utf8_lossy(&all.bytes);
    assert!(
        text.contains("qwen-plus") && !text.contains("secret"),
        "{text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_stream_ends_with_it_and_has_what_was_metered() -> TestResult {
    let collector = Collector::start().await?;
    let (_, flag) = Upstream::start().await?;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.address()),
        ("OTEL_SERVICE_NAME", "ours"),
    ];
    let program = Program::start_with(variables, &[&FLAGS[..], &[&*flag]].concat())?;
    for (model, last) in [("qwen-max", "[DONE]"), ("qwen-flash", "InternalError")] {
        let mut reader = Raw::connect(&program).await?;
        let request = stream("sk-secret-acme", model);
        let request = request.replace("host: gateway", "host: gateway\r\nconnection: close");
        reader.write(&request).await?;
        let (whole, _) = reader.until_closed().await?;
        assert!(whole.contains(last), "{whole}");
    }
    let mut reader = Raw::connect(&program).await?;
    reader
        .write(&stream("sk-secret-acme", "qwen-turbo"))
        .await?;
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("Hi") {
        assert!(reader.0.read_buf(&mut read).await? > 0);
    }
    drop(reader);
    let total = loop {
        let total = total(&program).await?;
        if total["calls"] == 3 {
            break total;
        }
        tokio::task::yield_now().await;
    };
    stopped(program)?;

    let all = collector.all();
    let (whole, left) = (all.one("chat qwen-max")?, all.one("chat qwen-turbo")?);
    let failed = all.one("chat qwen-flash")?;
    let [input, output] = ["input", "output"].map(|kind| {
        let name = format!("gen_ai.usage.{kind}_tokens");
        [whole, left, failed].map(|span| attribute(&span.attributes, &name).as_u64())
    });
    assert_eq!([input[0], output[0]], [Some(1_000), Some(200)]);
    // Together they are what the ledger has.
    for (kind, tokens) in [("input_tokens", input), ("output_tokens", output)] {
        assert!(tokens[1] > Some(0));
        let sum: u64 = tokens.into_iter().flatten().sum();
        assert_eq!(Some(sum), total[kind].as_u64(), "{kind}");
    }
    let reasons = "gen_ai.response.finish_reasons";
    assert_eq!(attribute(&whole.attributes, reasons), json!(["length"]));
    assert_eq!(attribute(&left.attributes, reasons), Value::Null);
    for (span, error, status) in [
        (whole, Value::Null, 0),
        (left, json!("cancelled"), 2),
        (failed, json!("server_error"), 2),
    ] {
        assert_eq!(attribute(&span.attributes, "error.type"), error);
        assert_eq!(span.status.clone().unwrap_or_default().code, status);
        // Nobody named a trace for it.
        assert!(span.parent_span_id.is_empty() && span.trace_id != [0; 16]);
    }
    assert_ne!(whole.trace_id, left.trace_id);
    let resource = all.resources.first().ok_or("no resource")?;
    assert_eq!(attribute(&resource.attributes, "service.name"), "ours");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_answers_itself_is_a_span_without_attempts() -> TestResult {
    let collector = Collector::start().await?;
    let (upstream, flag) = Upstream::start().await?;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.address())];
    let flags = [&FLAGS[..], &[&*flag, "--rpm=1"]].concat();
    let program = Program::start_with(variables, &flags)?;
    for (key, status) in [
        ("sk-secret-acme", 200),
        ("sk-secret-acme", 429),
        ("sk-secret-other", 401),
    ] {
        let request = traced(&chat(key, "qwen-max"));
        assert_eq!(ask(&program, &request).await?.status, status);
    }
    // No call of a model.
    let list = "GET /v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n";
    assert_eq!(ask(&program, list).await?.status, 401);
    stopped(program)?;

    assert_eq!(upstream.saw("traceparent").len(), 1);
    let all = collector.all();
    assert_eq!((all.spans.len(), all.named("POST").len()), (4, 1));
    let [throttled, stranger] = all.named("chat")[..] else {
        panic!("{:?}", all.spans);
    };
    for (span, status, error, tenant) in [
        (throttled, 429, "requests", json!("acme")),
        (stranger, 401, "401", Value::Null),
    ] {
        assert_eq!(hex(&span.parent_span_id), CALLER);
        assert_eq!(span.status.clone().unwrap_or_default().code, 2);
        for (name, expected) in [
            ("http.response.status_code", json!(status)),
            ("error.type", json!(error)),
            ("tower_qwen.tenant", tenant),
            ("tower_qwen.attempts", json!(0)),
            ("gen_ai.request.model", Value::Null),
            ("gen_ai.usage.input_tokens", Value::Null),
            ("server.address", Value::Null),
        ] {
            assert_eq!(attribute(&span.attributes, name), expected, "{name}");
        }
    }
    let (count, _) = all.sum("gen_ai.client.operation.duration", &[]);
    assert_eq!(count, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_samples_nothing_and_who_names_no_collector_sends_no_span() -> TestResult {
    let collector = Collector::start().await?;
    let (upstream, flag) = Upstream::start().await?;
    let flags = [&FLAGS[..], &[&*flag]].concat();
    let address = collector.address();
    let unsampled = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*address),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let off = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*address),
        ("OTEL_SDK_DISABLED", "true"),
    ];
    let nowhere = [
        ("OTEL_SERVICE_NAME", "ours"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ];
    for variables in [unsampled, off, nowhere] {
        let program = Program::start_with(variables, &flags)?;
        let request = traced(&chat("sk-secret-acme", "qwen-max"));
        assert_eq!(ask(&program, &request).await?.status, 200);
        stopped(program)?;
    }
    let own = format!("00-{TRACE}-{CALLER}-01");
    let saw = upstream.saw("traceparent");
    let [Some(unsampled), Some(off), Some(nowhere)] = &saw[..] else {
        panic!("{saw:?}");
    };
    // The upstream shall not sample it either.
    assert!(unsampled.starts_with(&format!("00-{TRACE}-")) && unsampled.ends_with("-00"));
    assert_eq!((off, nowhere), (&own, &own));
    let all = collector.all();
    assert!(all.spans.is_empty(), "{:?}", all.spans);
    assert_eq!(all.sum("gen_ai.client.operation.duration", &[]).0, 1);
    Ok(())
}
