//! How long callers wait, and whether they are told when to come back.

use std::{
    convert::Infallible,
    future::{pending, ready},
    time::Duration,
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Request, StatusCode};
use mock_qwen::{Config, MockQwen};
use tokio::time::{Instant, advance};
use tower::service_fn;

use crate::support::{CHAT, Harness, TestResult, call, call_of, problem, read};

const THROTTLE: &str = r#"{"error":{"code":"limit_requests","message":"Requests rate limit exceeded, please try again later."}}"#;
const BUSY: &str =
    r#"{"error":{"code":"ServiceUnavailable","message":"The server has no capacity now."}}"#;
const PLAN: &str = r#"{"error":{"type":"usage_limit_reached","resets_in_seconds":3600}}"#;
const PLAN_WITHOUT_END: &str = r#"{"error":{"message":"you (u) have reached your session usage limit, upgrade for higher limits","type":"api_error"}}"#;

fn error(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let json = [("content-type", "application/json")];
    let mut answer = (status, json, body).into_response();
    for &(name, value) in headers {
        let value = value.parse().expect("a value");
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// Before an upstream that answers so, by the number of the attempt.
fn before(
    answer: impl Fn(u64) -> Response + Clone + Send + Sync + 'static,
    flags: &[&str],
) -> TestResult<Harness> {
    let number = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let upstream = service_fn(move |_: Request<Body>| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        ready(Ok::<_, Infallible>(answer(number)))
    });
    Harness::before(upstream, MockQwen::new(Config::default()), flags)
}

fn ok() -> Response {
    error(
        200,
        &[],
        r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#,
    )
}

fn retry_after(headers: &HeaderMap) -> TestResult<u64> {
    let value = headers.get("retry-after").ok_or("no Retry-After")?;
    Ok(value.to_str()?.parse()?)
}

/// Whether an answer that says "later" says when, and nothing else.
fn agrees(answer: &Response) -> TestResult<u64> {
    let headers = answer.headers();
    let seconds = retry_after(headers).map_err(|no| format!("{no}: {answer:?}"))?;
    assert!(seconds >= 1);
    for (name, value) in headers {
        let name = name.as_str();
        assert!(!name.contains("ratelimit"), "{name}: {value:?}");
        assert_ne!(name, "retry-after-ms");
    }
    Ok(seconds)
}

#[tokio::test(start_paused = true)]
async fn the_longest_wait_bounds_whatever_a_call_waits_for() -> TestResult {
    let throttle = |_| error(429, &[("retry-after-ms", "1")], THROTTLE);
    let hinted = |_| error(429, &[("retry-after", "2")], THROTTLE);
    let busy = |_| error(503, &[], BUSY);
    let turns = |number: u64| match number.is_multiple_of(2) {
        true => error(429, &[], THROTTLE),
        false => error(503, &[], BUSY),
    };
    type Upstream = fn(u64) -> Response;
    let upstreams: [(&str, Upstream); 4] = [
        ("throttles", throttle),
        ("hints", hinted),
        ("no capacity", busy),
        ("turns", turns),
    ];
    for (name, upstream) in upstreams {
        for seconds in [3, 20] {
            let longest = format!("--max-wait={seconds}");
            let harness = before(upstream, &[&longest])?;
            // Others' load too, which says that a throttle is not the call's own.
            for _ in 0..3 {
                let calls = (0..8).map(|_| async {
                    let began = Instant::now();
                    let answer = harness.send(call(CHAT, "Hi", false)).await;
                    (answer, began.elapsed())
                });
                for (answer, took) in futures_util::future::join_all(calls).await {
                    let most = Duration::from_secs(seconds) + Duration::from_millis(200);
                    assert!(took <= most, "{name} {seconds} {took:?}");
                    assert!(matches!(answer.status().as_u16(), 429 | 503), "{name}");
                    agrees(&answer)?;
                }
            }
        }
    }
    Ok(())
}

/// The wait of the queue and that between attempts are one.
#[tokio::test(start_paused = true)]
async fn waits_before_and_between_attempts_count_together() -> TestResult {
    let flags = ["--max-wait=30", "--upstream-rpm=6"];
    let harness = before(|_| error(429, &[], THROTTLE), &flags)?;
    let calls = (0..6).map(|_| async {
        let began = Instant::now();
        let answer = harness.send(call(CHAT, "Hi", false)).await;
        (answer, began.elapsed())
    });
    for (answer, took) in futures_util::future::join_all(calls).await {
        assert!(took <= Duration::from_millis(30_200), "{took:?}");
        agrees(&answer)?;
    }
    Ok(())
}

/// It was booked with its prompt, though who stayed to the end paid nothing.
#[tokio::test(start_paused = true)]
async fn who_leaves_when_all_attempts_were_rejected_pays_nothing() -> TestResult {
    let prompt = "word ".repeat(6_000);
    for status in [429, 500, 502, 503, 529] {
        let body = if status == 429 { THROTTLE } else { BUSY };
        let flags = ["--tpm=100000"];
        let rejects = move |number| match number {
            0 => error(status, &[("retry-after", "20")], body),
            _ => ok(),
        };
        let harness = before(rejects, &flags)?;
        let left = tokio::time::timeout(
            Duration::from_secs(5),
            harness.send(call(CHAT, &prompt, false)),
        );
        assert!(
            left.await.is_err(),
            "{status}: it waits for its next attempt"
        );
        let total = harness.total();
        assert_eq!((total.calls, total.cancelled), (1, 1), "{status}");
        assert_eq!(
            (total.input_tokens, total.output_tokens),
            (0, 0),
            "{status}"
        );
        assert_eq!(total.cost.len(), 0, "{status}");
        let list = Request::get("/v1/models").header("authorization", "Bearer sk-secret-acme");
        let list = harness.send(list.body(Body::empty())?).await;
        let left = list.headers().get("x-ratelimit-remaining-tokens");
        let left: u64 = left.ok_or("no quota")?.to_str()?.parse()?;
        assert!(left > 99_900, "{status} {left}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_cut_at_the_deadline() -> TestResult {
    for (flags, seconds) in [
        (["--timeout=4", "--deadline=6"], 6),
        (["--timeout=60", "--deadline=6"], 6),
        (["--timeout=4", "--deadline=0.5"], 0),
    ] {
        let silent = service_fn(|_: Request<Body>| pending::<Result<Response, Infallible>>());
        let harness = Harness::before(silent, MockQwen::new(Config::default()), &flags)?;
        let began = Instant::now();
        let (status, _) = harness.text(call(CHAT, "Hi", false)).await?;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        let deadline = Duration::from_secs(seconds).max(Duration::from_millis(500));
        let took = began.elapsed();
        // Between two attempts it may know before that there is no time for another.
        assert!(
            took <= deadline + Duration::from_millis(5),
            "{flags:?} {took:?}"
        );
        assert!(
            took >= deadline.min(Duration::from_secs(4)),
            "{flags:?} {took:?}"
        );
    }
    let flags = ["--max-wait=100", "--deadline=7"];
    let harness = before(|_| error(429, &[], THROTTLE), &flags)?;
    let began = Instant::now();
    let answer = harness.send(call(CHAT, "Hi", false)).await;
    assert!(began.elapsed() <= Duration::from_millis(7_005));
    agrees(&answer)?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_when_told_is_answered_at_once() -> TestResult {
    let upstream = |number| match number {
        0 => error(
            429,
            &[("retry-after", "7"), ("retry-after-ms", "7000")],
            THROTTLE,
        ),
        _ => ok(),
    };
    let harness = before(upstream, &["--max-wait=3"])?;
    let first = harness.send(call(CHAT, "Hi", false)).await;
    assert_eq!(first.status(), StatusCode::TOO_MANY_REQUESTS);
    let first = agrees(&first)?;
    assert!(first >= 7, "{first}");
    advance(Duration::from_secs(1)).await;
    // The account is closed for others too, and they are told the same.
    let second = harness
        .send(call_of("sk-secret-zed", CHAT, "Hi", false))
        .await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    let second = agrees(&second)?;
    assert!(
        (first - 1..=first + 5).contains(&second),
        "{first} {second}"
    );
    assert_eq!(harness.gateway.attempts(), 1);
    advance(Duration::from_secs(second)).await;
    let began = Instant::now();
    let (status, body) = harness.text(call(CHAT, "Hi", false)).await?;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(began.elapsed() < Duration::from_secs(1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_used_up_says_its_end() -> TestResult {
    let upstream = |_| error(429, &[], PLAN);
    let harness = before(upstream, &[])?;
    let first = harness.send(call(CHAT, "Hi", false)).await;
    assert_eq!((first.status().as_u16(), agrees(&first)?), (429, 3_600));
    advance(Duration::from_secs(60)).await;
    let second = harness.send(call(CHAT, "Hi", false)).await;
    let seconds = agrees(&second)?;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!((3_535..=3_545).contains(&seconds), "{seconds}");
    let (_, body) = read(second).await?;
    let (message, _) = problem(std::str::from_utf8(&body)?)?;
    assert!(message.contains(" GMT"), "{message}");
    assert_eq!(harness.gateway.attempts(), 1);

    let upstream = |_| error(429, &[], PLAN_WITHOUT_END);
    let harness = before(upstream, &[])?;
    for status in [429, 503] {
        let answer = harness.send(call(CHAT, "Hi", false)).await;
        assert_eq!(
            (answer.status().as_u16(), agrees(&answer)?),
            (status, 1_800)
        );
    }
    Ok(())
}

/// The caller's own quota is the reason, so it is stated.
#[tokio::test(start_paused = true)]
async fn a_quota_that_is_the_reason_is_stated_with_its_wait() -> TestResult {
    let harness = before(|_| ok(), &["--rpm=2"])?;
    for _ in 0..2 {
        harness.text(call(CHAT, "Hi", false)).await?;
    }
    let answer = harness.send(call(CHAT, "Hi", false)).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(retry_after(answer.headers())?, 30);
    assert_eq!(answer.headers()["x-ratelimit-remaining-requests"], "0");
    assert!(answer.headers().contains_key("ratelimit"));
    Ok(())
}

/// It waited for an upstream that takes no connection, not for quota; and what was never sent costs nothing.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_cannot_be_reached_is_told_and_costs_nothing() -> TestResult {
    // A port of which nobody listens any more, and a name that nobody has.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let addresses = [format!("127.0.0.1:{port}"), "nobody.invalid".to_owned()];
    for authority in addresses {
        let name = authority.clone();
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let executor = hyper_util::rt::TokioExecutor::new();
        let client: hyper_util::client::legacy::Client<_, Body> =
            hyper_util::client::legacy::Client::builder(executor).build(connector);
        let transport = service_fn(move |mut request: Request<Body>| {
            let client = client.clone();
            let uri = format!("http://{authority}{}", request.uri().path());
            *request.uri_mut() = uri.parse().expect("an address");
            async move { client.request(request).await }
        });
        let mock = MockQwen::new(Config::default());
        let harness = Harness::before(transport, mock, &["--max-wait=3"])?;
        for _ in 0..2 {
            let answer = harness.send(call(CHAT, "Hi", false)).await;
            assert!(retry_after(answer.headers())? >= 1);
            let (status, body) = read(answer).await?;
            assert_eq!(status, StatusCode::BAD_GATEWAY);
            let (message, _) = problem(&String::from_utf8(body)?)?;
            assert_eq!(message, "The server behind cannot be reached.");
        }
        let total = harness.total();
        assert_eq!((total.calls, total.input_tokens), (2, 0), "{name}");
    }
    Ok(())
}
