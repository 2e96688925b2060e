//! Retriers around retriers: attempts add up instead of multiplying.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderName, Method};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_retry::{BoxError, Idempotent, RetryLayer, RetryPolicy};

use crate::support::{Answer, RequestBody, broken, ok, request, run, throttled};

const COUNT: &str = "x-stainless-retry-count";

#[tokio::test(start_paused = true)]
async fn a_call_that_is_a_retry_itself_is_sent_once() {
    for (count, attempts) in [("0", 5), ("1", 1), ("7", 1), ("nonsense", 5)] {
        let mut request = request();
        request
            .headers_mut()
            .insert(COUNT, count.parse().expect("a header value"));
        let script = (0..attempts).map(|_| Ok(throttled())).collect();
        let run = run(RetryPolicy::default(), request, script).await;
        assert_eq!(run.attempts().number, attempts, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_marker_may_be_renamed_or_left_out() {
    let name = HeaderName::from_static("x-attempt");
    let policy = RetryPolicy::default().marker(name.clone());
    let run_ = run(
        policy.clone(),
        request(),
        vec![Ok(broken()), Ok(broken()), Ok(ok())],
    )
    .await;
    let counts: Vec<_> = run_
        .sent
        .iter()
        .map(|(_, sent)| sent.headers().get(&name).cloned())
        .collect();
    assert_eq!(
        counts,
        [
            None,
            Some("1".parse().expect("a value")),
            Some("2".parse().expect("a value"))
        ]
    );
    assert!(
        run_.sent
            .iter()
            .all(|(_, sent)| !sent.headers().contains_key(COUNT))
    );

    let silent = RetryPolicy::default().marker(None);
    let mut marked = request();
    marked
        .headers_mut()
        .insert(COUNT, "3".parse().expect("a value"));
    let run = run(silent, marked, vec![Ok(broken()), Ok(ok())]).await;
    assert_eq!(run.attempts().number, 2);
    assert!(
        run.sent
            .iter()
            .all(|(_, sent)| sent.headers()[COUNT] == "3"),
        "the caller's own"
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_of_nested_retriers_add_up() {
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let provider = service_fn(move |_: http::Request<RequestBody>| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok::<Answer, BoxError>(broken()) }
    });
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(RetryLayer::new(RetryPolicy::default()))
        .service(provider);
    service.oneshot(request()).await.expect("an answer");
    // The innermost sends the first attempt five times; then each retry further out is one. Not 125.
    assert_eq!(sent.load(Ordering::Relaxed), 13);
}

#[tokio::test(start_paused = true)]
async fn other_requests_are_retried_by_their_method() {
    let other = |method: Method| {
        let mut other = request().map(|_| RequestBody::default());
        *other.uri_mut() = "https://host/compatible-mode/v1/batches/b/cancel"
            .parse()
            .expect("a uri");
        *other.method_mut() = method;
        other
    };
    for (method, attempts) in [
        (Method::GET, 2),
        (Method::DELETE, 2),
        (Method::POST, 1),
        (Method::PATCH, 1),
    ] {
        let mut script = vec![Ok(broken()), Ok(ok())];
        script.truncate(attempts);
        let run = run(RetryPolicy::default(), other(method.clone()), script).await;
        assert_eq!(run.attempts().number as usize, attempts, "{method}");
    }
    let mut declared = other(Method::POST);
    declared.extensions_mut().insert(Idempotent);
    let run = run(
        RetryPolicy::default(),
        declared,
        vec![Ok(broken()), Ok(ok())],
    )
    .await;
    assert_eq!(run.attempts().number, 2);
}
