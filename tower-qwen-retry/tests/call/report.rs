//! What the report of a call says of its attempts.

use std::{convert::Infallible, io, time::Duration};

use futures::poll;
use http::Request;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_retry::{Fallback, RetryLayer, RetryPolicy};
use tower_qwen_tokens::CallReport;

use crate::support::{Answer, RequestBody, answer, broken, ms, ok, request, run, throttled};

fn reported() -> (Request<RequestBody>, CallReport) {
    let (mut request, report) = (request(), CallReport::new());
    request.extensions_mut().insert(report.clone());
    (request, report)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_and_every_wait_is_counted() {
    let (request, report) = reported();
    let script = vec![Ok(throttled()), Ok(broken()), Ok(ok())];
    let run = run(RetryPolicy::default(), request, script).await;
    assert_eq!(run.status(), 200);
    assert_eq!((report.sends(), report.was_sent()), (3, true));
    assert_eq!(report.retry_wait(), run.took);
    assert_eq!((report.queued(), report.target()), (ms(0), None));
    assert!(report.has_ended());
}

#[tokio::test(start_paused = true)]
async fn the_target_is_the_last_one() {
    let key = r#"{"error":{"code":"invalid_api_key","message":"x"}}"#;
    let policy = RetryPolicy::default()
        .fallback(Fallback::new("smaller").model("qwen-flash"))
        .fallback(Fallback::new("second key").key("sk-2").expect("a key"));
    let (request, report) = reported();
    let script = vec![Ok(answer(401, key)), Ok(answer(401, key)), Ok(ok())];
    run(policy, request, script).await;
    assert_eq!(report.target().as_deref(), Some("second key"));
    assert_eq!(report.sends(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_began_was_not_sent() {
    let refused = || Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
    let (request, report) = reported();
    let policy = RetryPolicy::default().max_attempts(3);
    let run = run(policy, request, vec![refused(), refused(), refused()]).await;
    assert!(run.result.is_err());
    assert_eq!((report.sends(), report.was_sent()), (3, false));
    assert!(report.has_ended());
}

#[tokio::test(start_paused = true)]
async fn who_leaves_amid_a_wait_has_waited_so_long() {
    let service =
        service_fn(|_: Request<RequestBody>| async { Ok::<Answer, Infallible>(throttled()) });
    let service = RetryLayer::new(RetryPolicy::default()).layer(service);
    let (request, report) = reported();
    let mut call = Box::pin(service.oneshot(request));
    assert!(poll!(&mut call).is_pending());
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(report.retry_wait(), ms(100), "while it waits");
    assert!(!report.has_ended());
    drop(call);
    assert!(report.has_ended());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(report.retry_wait(), ms(100));
    report.ended().await;
}
