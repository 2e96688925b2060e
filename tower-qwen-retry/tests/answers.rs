//! What is retried, and what the caller gets.

mod support;

use std::io;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use support::{answer, broken, bytes, ms, ok, request, run, throttled, with_header};
use tower_qwen_retry::{BoxError, RetryPolicy};
use tower_qwen_tokens::{Cause, Verdict};

const RETRIED: &[(&str, u16, &str)] = &[
    (
        "requests per minute",
        429,
        r#"{"error":{"code":"limit_requests","message":"You have exceeded your request limit."}}"#,
    ),
    (
        "tokens per minute, whatever the code says",
        429,
        r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details."}}"#,
    ),
    (
        "native token quota",
        429,
        r#"{"code":"Throttling.AllocationQuota","message":"Allocated quota exceeded, please increase your quota limit.","request_id":"1"}"#,
    ),
    ("429 without a word", 429, ""),
    (
        "throttle inside of a 500",
        500,
        r#"{"error":{"code":"ServiceUnavailable","message":"<503> InternalError.Algo: [Too many requests. Your requests are being throttled due to system capacity limits. Please try again later.]","type":"ServiceUnavailable"}}"#,
    ),
    (
        "server error",
        500,
        r#"{"error":{"code":"internal_error","message":"An internal error has occurred."}}"#,
    ),
    ("503 without a word", 503, ""),
];

const RETURNED: &[(&str, u16, &str)] = &[
    ("served", 200, r#"{"id":"1"}"#),
    ("redirected", 307, ""),
    (
        "bad parameter",
        400,
        r#"{"error":{"code":"invalid_parameter_error","message":"Range of max_tokens should be [1, 8192]"}}"#,
    ),
    (
        "arrears",
        400,
        r#"{"code":"Arrearage","message":"Access denied, please make sure your account is in good standing.","request_id":"1"}"#,
    ),
    (
        "bad key",
        401,
        r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided."}}"#,
    ),
    (
        "free tier",
        403,
        r#"{"code":"AllocationQuota.FreeTierOnly","message":"The free tier of the model has been exhausted.","request_id":"1"}"#,
    ),
    (
        "free tier, old form",
        429,
        r#"{"error":{"code":"insufficient_quota","message":"Free allocated quota exceeded."}}"#,
    ),
    (
        "no such model",
        404,
        r#"{"error":{"code":"model_not_found","message":"The model does not exist."}}"#,
    ),
];

#[tokio::test(start_paused = true)]
async fn transient_answers_are_retried() {
    for (name, status, body) in RETRIED {
        let run = run(
            RetryPolicy::default(),
            request(),
            vec![Ok(answer(*status, body)), Ok(ok())],
        )
        .await;
        assert_eq!(run.status(), StatusCode::OK, "{name}");
        assert_eq!(run.attempts().number, 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_answers_return_unchanged_without_a_retry() {
    for (name, status, body) in RETURNED {
        let run = run(
            RetryPolicy::default(),
            request(),
            vec![Ok(answer(*status, body))],
        )
        .await;
        assert_eq!(run.status().as_u16(), *status, "{name}");
        assert_eq!(run.attempts().number, 1, "{name}");
        assert_eq!(run.attempts().waited, ms(0), "{name}");
        assert_eq!(run.took, ms(0), "{name}");
        let verdict = run.answer().extensions().get::<Verdict>();
        assert_eq!(verdict.is_some(), *status >= 400, "{name}");
        let answer = run.result.expect("an answer");
        assert_eq!(bytes(answer.into_body()).await, *body, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_last_attempt_the_last_answer_returns() {
    let script = vec![
        Ok(broken()),
        Ok(throttled()),
        Ok(with_header(broken(), "x-last", "yes")),
    ];
    let run = run(RetryPolicy::default().max_attempts(3), request(), script).await;
    assert_eq!(run.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(run.answer().headers().contains_key("x-last"));
    assert_eq!(run.attempts().number, 3);
}

#[tokio::test(start_paused = true)]
async fn five_attempts_by_default_one_if_set() {
    let five = || (0..5).map(|_| Ok(broken())).collect();
    assert_eq!(
        run(RetryPolicy::default(), request(), five())
            .await
            .attempts()
            .number,
        5
    );
    let one = RetryPolicy::default().max_attempts(1);
    assert_eq!(
        run(one, request(), vec![Ok(broken())])
            .await
            .attempts()
            .number,
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_keeps_its_frames_and_trailers() {
    let chunk = |byte: u8| Frame::data(Bytes::from(vec![byte; 50_000]));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", "kept".parse().expect("a header value"));
    let frames = vec![
        chunk(b'a'),
        chunk(b'b'),
        chunk(b'c'),
        Frame::trailers(trailers.clone()),
    ];
    let body = StreamBody::new(stream::iter(frames.into_iter().map(Ok::<_, BoxError>)));
    let last = Response::builder()
        .status(500)
        .body(BoxBody::new(body))
        .expect("a valid answer");
    let run = run(
        RetryPolicy::default().max_attempts(2),
        request(),
        vec![Ok(throttled()), Ok(last)],
    )
    .await;
    let collected = run.result.expect("an answer").into_body().collect().await;
    let collected = collected.expect("a whole body");
    assert_eq!(collected.trailers(), Some(&trailers));
    let whole: Vec<u8> = [[b'a'; 50_000], [b'b'; 50_000], [b'c'; 50_000]].concat();
    assert!(collected.to_bytes() == whole);
}

#[tokio::test(start_paused = true)]
async fn transport_errors_are_retried_by_type() {
    let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    let run = run(
        RetryPolicy::default(),
        request(),
        vec![reset(), reset(), Ok(ok())],
    )
    .await;
    assert_eq!(run.attempts().number, 3);
    assert!(run.gaps().iter().all(|gap| *gap <= ms(1_001)));
}

#[tokio::test(start_paused = true)]
async fn unknown_errors_return_unchanged_without_a_retry() {
    let run = run(
        RetryPolicy::default(),
        request(),
        vec![Err("rejected by admission".into())],
    )
    .await;
    assert_eq!(
        run.result.expect_err("the error").to_string(),
        "rejected by admission"
    );
    assert_eq!(run.took, ms(0));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_keeps_its_type() {
    let broken = || Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    let run = run(
        RetryPolicy::default().max_attempts(2),
        request(),
        vec![broken(), broken()],
    )
    .await;
    let error = run.result.expect_err("the error");
    let error = error.downcast::<io::Error>().expect("unchanged");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn a_rule_for_errors_decides_first() {
    let policy = RetryPolicy::default()
        .retry_error(|error| (error.to_string() == "come back").then_some(true));
    let retried = run(
        policy.clone(),
        request(),
        vec![Err("come back".into()), Ok(ok())],
    )
    .await;
    assert_eq!(retried.attempts().number, 2);
    let returned = run(policy, request(), vec![Err("stay away".into())]).await;
    assert!(returned.result.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_throttle_of_an_impossible_task_is_permanent() {
    let task = |path: &str, body: &'static str| {
        let mut request = request().map(|_| Full::from(body));
        *request.uri_mut() = path.parse().expect("a uri");
        let header = "enable".parse().expect("a header value");
        request.headers_mut().insert("x-dashscope-async", header);
        request
    };
    let chat = task(
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        support::PROMPT,
    );
    let returned = run(RetryPolicy::default(), chat, vec![Ok(throttled())]).await;
    assert_eq!(returned.status(), StatusCode::TOO_MANY_REQUESTS);
    let verdict = returned
        .answer()
        .extensions()
        .get::<Verdict>()
        .expect("a verdict");
    assert_eq!(verdict.cause(), Cause::AsyncUnsupported);

    let chat = task(
        "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions",
        support::PROMPT,
    );
    let retried = run(RetryPolicy::default(), chat, vec![Ok(broken()), Ok(ok())]).await;
    assert_eq!(
        retried.status(),
        StatusCode::OK,
        "only the throttle means that"
    );

    let embedding = task(
        "https://dashscope.aliyuncs.com/api/v1/services/embeddings/text-embedding/text-embedding",
        r#"{"model":"text-embedding-async-v1","input":{"texts":["a"]}}"#,
    );
    let retried = run(
        RetryPolicy::default(),
        embedding,
        vec![Ok(throttled()), Ok(ok())],
    )
    .await;
    assert_eq!(
        retried.status(),
        StatusCode::OK,
        "embeddings exist as tasks"
    );
}
