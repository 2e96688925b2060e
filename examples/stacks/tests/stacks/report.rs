//! What one call waited, used and cost, through the whole stack.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Pacing, Quota, Rejected};
use tower_qwen_retry::{Fallback, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    Basis, CallReport, Deadline, Ledger, MeterLayer, Money, PriceBook,
    call::BoxError,
    ledger::{MemorySink, Record, Tenant},
};

use crate::support::TestResult;

const WHOLE: &str =
    r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;
/// An error that states what it used all the same.
const BROKEN: &str =
    r#"{"error":{"code":"internal_error","message":"An internal error has occurred."}}"#;
const NO_KEY: &str =
    r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#;

fn chat(report: &CallReport) -> Request<Body> {
    Request::post("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions")
        .header("content-type", "application/json")
        .extension(report.clone())
        .extension(Tenant::new("acme"))
        .body(Body::from(
            r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#,
        ))
        .expect("a valid request")
}

/// Sends calls one after the other through Retry, Admission and Meter to a transport that answers by the script; what the
/// ledger's lines say.
async fn run(
    quota: Quota,
    policy: RetryPolicy,
    requests: Vec<Request<Body>>,
    script: &[(u16, &'static str)],
) -> (Vec<Result<Response<()>, BoxError>>, Vec<Record<'static>>) {
    let lines = Arc::new(MemorySink::new(100));
    let ledger = Ledger::new(PriceBook::builtin()).with_sink(lines.clone());
    let script = Arc::new(Mutex::new(Vec::from(script).into_iter()));
    let transport = service_fn(move |_: Request<Body>| {
        let next = script.lock().expect("unbroken").next();
        async move {
            let (status, body) = next.ok_or("an attempt too many")?;
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            Ok::<_, BoxError>(answer.body(Body::from(body))?)
        }
    });
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(AdmissionLayer::new(Limiter::new(
            quota.headroom(0).pacing(Pacing::Window),
        )))
        .layer(MeterLayer::new(ledger))
        .service(transport);
    let mut results = Vec::new();
    for request in requests {
        results.push(match client.clone().oneshot(request).await {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                body.collect().await.expect("a body");
                Ok(Response::from_parts(parts, ()))
            }
            Err(error) => Err(error),
        });
    }
    (results, lines.records())
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_a_call_add_up_to_its_report() -> TestResult {
    let report = CallReport::new();
    let policy = RetryPolicy::default()
        .seed(7)
        .fallback(Fallback::new("second key").key("sk-2")?);
    let script = [(500, BROKEN), (500, BROKEN), (401, NO_KEY), (200, WHOLE)];
    let begin = Instant::now();
    let quota = Quota::per_minute(1, 1_000_000);
    let (results, lines) = run(quota, policy, vec![chat(&report)], &script).await;
    let took = begin.elapsed();

    let answer = results.into_iter().next().expect("one")?;
    let of_answer = answer.extensions().get::<CallReport>().ok_or("no report")?;
    for report in [&report, of_answer] {
        assert_eq!((report.sends(), report.was_sent()), (4, true));
        assert_eq!(report.target().as_deref(), Some("second key"));
        assert_eq!(report.tenant(), Some(Tenant::new("acme")));
        assert_eq!(report.basis(), Some(Basis::Reported));
        assert_eq!(report.cost(), Some("0.00064 USD".parse::<Money>()?));
        assert!(report.has_ended());
        // All of the time is one wait or the other, for the transport takes none.
        assert_eq!(report.queued() + report.retry_wait(), took);
        assert!(report.queued() > Duration::from_secs(100), "{report:?}");
        assert!(report.retry_wait() > Duration::ZERO, "{report:?}");
    }
    let numbers: Vec<_> = lines.iter().map(|line| line.entry.attempt).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3), Some(4)]);
    let targets = lines.iter().map(|line| line.entry.target.as_deref());
    assert_eq!(
        targets.collect::<Vec<_>>(),
        [None, None, None, Some("second key")]
    );
    let queued: Option<Duration> = lines.iter().map(|line| line.entry.queued).sum();
    assert_eq!(queued, Some(report.queued()));
    let waited: Option<Duration> = lines.iter().map(|line| line.entry.retry_wait).sum();
    assert_eq!(waited, Some(report.retry_wait()));
    assert_eq!(
        lines
            .iter()
            .filter_map(|line| line.cost)
            .collect::<Vec<_>>(),
        report.costs()
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_rejected_after_a_wait_was_never_sent() -> TestResult {
    let (first, second) = (CallReport::new(), CallReport::new());
    let mut late = chat(&second);
    late.extensions_mut()
        .insert(Deadline::after(Duration::from_secs(5)));
    let requests = vec![chat(&first), late];
    let quota = Quota::per_minute(1, 1_000_000);
    let (results, lines) = run(quota, RetryPolicy::default(), requests, &[(200, WHOLE)]).await;
    let error = results
        .into_iter()
        .nth(1)
        .expect("two")
        .expect_err("too late");
    assert!(error.is::<Rejected>(), "{error}");
    assert_eq!((first.sends(), lines.len()), (1, 1));
    // Retry has handed it on, Admission has not.
    assert_eq!((second.sends(), second.was_sent()), (0, false));
    assert_eq!((second.usage(), second.costs().len()), (None, 0));
    assert!(second.has_ended());
    Ok(())
}

/// A gateway: a Meter for its calls around the client's stack, whose Meter counts attempts.
#[tokio::test(start_paused = true)]
async fn of_two_meters_only_one_counts_in_the_report() -> TestResult {
    let sinks = [0, 1].map(|_| Arc::new(MemorySink::new(10)));
    let [outer, inner] = sinks
        .each_ref()
        .map(|sink| MeterLayer::new(Ledger::new(PriceBook::builtin()).with_sink(sink.clone())));
    let failed = Arc::new(Mutex::new(false));
    let transport = service_fn(move |_: Request<Body>| {
        let is_second = std::mem::replace(&mut *failed.lock().expect("unbroken"), true);
        let (status, body) = if is_second {
            (200, WHOLE)
        } else {
            (500, BROKEN)
        };
        async move {
            let answer = Response::builder().status(status);
            let answer = answer.header("content-type", "application/json");
            Ok::<_, BoxError>(answer.body(Body::from(body))?)
        }
    });
    let quota = Quota::per_minute(1, 1_000_000).headroom(0);
    let limiter = Limiter::new(quota.pacing(Pacing::Window));
    let gateway = ServiceBuilder::new()
        .layer(outer)
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(inner)
        .service(transport);
    let report = CallReport::new();
    gateway
        .oneshot(chat(&report))
        .await?
        .into_body()
        .collect()
        .await?;
    assert_eq!(report.sends(), 2);
    assert_eq!(report.cost(), Some("0.00064 USD".parse::<Money>()?));
    let [outer, inner] = sinks.map(|sink| sink.records());
    assert_eq!((outer.len(), inner.len()), (1, 2));
    for lines in [outer, inner] {
        let queued: Option<Duration> = lines.iter().map(|line| line.entry.queued).sum();
        assert_eq!(queued, Some(report.queued()));
        let waited: Option<Duration> = lines.iter().map(|line| line.entry.retry_wait).sum();
        assert_eq!(waited, Some(report.retry_wait()));
        assert_eq!(lines.last().and_then(|line| line.entry.attempt), Some(2));
    }
    Ok(())
}
