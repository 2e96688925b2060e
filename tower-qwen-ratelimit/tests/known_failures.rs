//! Known failures of other limiters for models: a test for each that is on record.

use std::{convert::Infallible, task::Poll, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AccountSnapshot, AdmissionLayer, Cost, Key, Limiter, OutputLimit, Pacing, Quota, RejectKind,
};
use tower_qwen_tokens::{Ledger, MeterLayer, Usage, UsageSink, internal::clock};

type Body = Full<Bytes>;

const CHAT: &str = "https://host/compatible-mode/v1/chat/completions";

fn key() -> Key {
    Key::new("https://host", "qwen-plus")
}

fn limiter(requests: u64, tokens: u64) -> Limiter {
    Limiter::new(
        Quota::per_minute(requests, tokens)
            .headroom(0)
            .pacing(Pacing::Window),
    )
}

fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}

fn chat(members: &str) -> Request<Body> {
    let body = format!(
        r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"Hello!"}}]{members}}}"#
    );
    Request::post(CHAT).body(Full::from(body)).unwrap()
}

fn json(status: StatusCode, body: &'static str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}

/// Sends one call through `Admission > Meter`, to the end of its answer.
async fn send(limiter: &Limiter, request: Request<Body>, answer: Response<Body>) {
    let service = ServiceBuilder::new()
        .layer(AdmissionLayer::new(limiter.clone()))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(move |_: Request<Body>| {
            let answer = answer.clone();
            async { Ok::<_, Infallible>(answer) }
        }));
    let answer = service.oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
}

/// Five calls at one time took 663 tokens of 100, since each was checked before any was counted.
#[tokio::test(start_paused = true)]
async fn overshoot_by_checking_before_counting() {
    let limiter = limiter(1_000, 100);
    let mut calls: Vec<_> = (0..5)
        .map(|_| task::spawn(limiter.acquire(&key(), Cost::new(40, OutputLimit::AtMost(5)))))
        .collect();
    let admitted = calls.iter_mut().filter_map(|call| match call.poll() {
        Poll::Ready(reservation) => Some(reservation.unwrap()),
        Poll::Pending => None,
    });
    assert_eq!(admitted.collect::<Vec<_>>().len(), 2);
}

/// `max_tokens: 1` hid a `max_completion_tokens` of 10,000; elsewhere only the output was counted, or only the input.
#[tokio::test(start_paused = true)]
async fn estimates_bypassed_by_another_spelling() {
    for (members, least) in [
        (r#","max_tokens":1,"max_completion_tokens":10000"#, 10_000),
        (r#","max_completion_tokens":10000,"max_tokens":1"#, 10_000),
        (r#","max_tokens":500,"n":20"#, 10_000),
        (r#","max_tokens":1"#, 8),
    ] {
        // No ceiling here is above the sixteenth of a window that an unknown answer may reserve.
        let limiter = limiter(1_000, 1_000_000);
        let seen = {
            let limiter = limiter.clone();
            AdmissionLayer::new(limiter.clone()).layer(service_fn(move |_: Request<Body>| {
                let reserved = account(&limiter).reserved_tokens;
                async move {
                    assert!(
                        reserved >= least && reserved < least + 40,
                        "{reserved} for {least}"
                    );
                    Ok::<_, Infallible>(json(StatusCode::OK, "{}"))
                }
            }))
        };
        seen.oneshot(chat(members)).await.unwrap();
    }
}

/// A floor above the limit rejected the very first call; a call larger than the bucket waited for ever.
#[tokio::test(start_paused = true)]
async fn estimates_too_large_for_the_bucket() {
    let limiter = Limiter::new(Quota::per_minute(60, 6_000));
    let start = clock::now();
    // A burst is 49 tokens.
    let large = limiter.acquire(&key(), Cost::new(5_000, OutputLimit::NoOutput));
    drop(large.await.unwrap());
    assert!(start.elapsed() < Duration::from_secs(2));
    let never = limiter
        .acquire(&key(), Cost::new(6_001, OutputLimit::NoOutput))
        .await;
    assert_eq!(never.unwrap_err().kind(), RejectKind::TooLarge);
    let bounded = limiter.acquire(&key(), Cost::new(10, OutputLimit::AtMost(1_000_000)));
    assert!(
        bounded.await.is_ok(),
        "a ceiling alone makes no call too large"
    );
}

/// Calls were rejected 30 % below the limit, for up to five minutes.
#[tokio::test(start_paused = true)]
async fn under_admission() {
    let limiter = limiter(1_000_000, 60_000);
    let start = clock::now();
    let mut tokens = 0;
    while start.elapsed() < Duration::from_secs(10 * 60) {
        let reservation = limiter
            .acquire(&key(), Cost::new(500, OutputLimit::NoOutput))
            .await
            .unwrap();
        reservation.mark_sent();
        reservation.settle(500, 0);
        tokens += 500;
    }
    assert!(tokens >= 600_000 - 60_000 / 10, "{tokens}");
}

/// A stream was deducted twice, and retries were charged three to six times.
#[tokio::test(start_paused = true)]
async fn counted_twice() {
    let limiter = limiter(1_000, 100_000);
    let answer = json(
        StatusCode::OK,
        r#"{"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":80},"completion_tokens_details":{"reasoning_tokens":30}}}"#,
    );
    send(&limiter, chat(""), answer).await;
    let state = account(&limiter);
    assert_eq!(
        (
            state.settled_tokens,
            state.tokens.used,
            state.reserved_tokens
        ),
        (150, 150, 0)
    );
}

/// Cached tokens were added to the prompt that already held them.
#[tokio::test(start_paused = true)]
async fn cached_tokens_counted_beside_the_prompt() {
    let limiter = limiter(1_000, 100_000);
    let reservation = limiter
        .acquire(&key(), Cost::new(10, OutputLimit::AtMost(10)))
        .await
        .unwrap();
    reservation.mark_sent();
    let mut usage = Usage::new(1_000, 10);
    usage.cached_tokens = Some(900);
    tower_qwen_tokens::OnUsage::on_usage(&reservation, &tower_qwen_tokens::Report::reported(usage));
    assert_eq!(account(&limiter).tokens.used, 1_010);
}

/// A cooldown that was set again kept the shorter end; another held for thirty minutes.
#[tokio::test(start_paused = true)]
async fn cooldowns_that_stick_or_shrink() {
    let limiter = limiter(1_000, 100_000);
    let layer = AdmissionLayer::new(limiter.clone());
    let throttle = |seconds: &'static str| {
        let mut answer = json(
            StatusCode::TOO_MANY_REQUESTS,
            r#"{"error":{"code":"limit_requests","message":"x"}}"#,
        );
        answer
            .headers_mut()
            .insert("retry-after", seconds.parse().unwrap());
        layer.layer(service_fn(move |_: Request<Body>| {
            let answer = answer.clone();
            async {
                // Both are under way when the first is answered.
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Infallible>(answer)
            }
        }))
    };
    let (long, short) = (throttle("30"), throttle("2"));
    let both = tokio::join!(long.oneshot(chat("")), short.oneshot(chat("")));
    drop(both);
    let closed = account(&limiter).closed_for.as_secs();
    assert!((29..=30).contains(&closed), "{closed}");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(account(&limiter).closed_for.is_zero(), "it opens by itself");

    drop(throttle("86400000").oneshot(chat("")).await);
    assert!(account(&limiter).closed_for <= Duration::from_secs(600));
}

/// Slots leaked when callers left; elsewhere nothing was counted when they did.
#[tokio::test(start_paused = true)]
async fn aborts_that_leak_or_dodge() {
    let limiter = Limiter::new(
        Quota::per_minute(1_000, 100_000)
            .headroom(0)
            .pacing(Pacing::Window)
            .concurrency(1),
    );
    let service = ServiceBuilder::new()
        .layer(AdmissionLayer::new(limiter.clone()))
        .layer(MeterLayer::new(Ledger::default()))
        .service(service_fn(|_: Request<Body>| async {
            let event = r#"data: {"choices":[{"delta":{"content":"Hello, how are you today?"},"index":0}]}"#;
            let events = futures_util::stream::repeat_with(move || {
                Ok::<_, Infallible>(Frame::data(Bytes::from(format!("{event}\n\n"))))
            });
            let body = StreamBody::new(events);
            let answer = Response::builder().header("content-type", "text/event-stream");
            Ok::<_, Infallible>(answer.body(body).unwrap())
        }));
    for _ in 0..10 {
        let request = chat(r#","stream":true,"max_tokens":1000"#);
        let mut body = service.clone().oneshot(request).await.unwrap().into_body();
        assert!(body.frame().await.is_some());
        drop(body);
    }
    let state = account(&limiter);
    assert_eq!(
        (state.running, state.in_flight, state.reserved_tokens),
        (0, 0, 0)
    );
    let each = state.settled_tokens / 10;
    assert!(
        (15..60).contains(&each),
        "prompt and what was delivered: {each}"
    );
}

/// An error inside a stream of status 200 was taken for an answer.
#[tokio::test(start_paused = true)]
async fn throttles_inside_a_stream_of_status_200() {
    let limiter = limiter(1_000, 100_000);
    let mut answer = json(
        StatusCode::OK,
        "data: {\"error\":{\"code\":\"insufficient_quota\",\"message\":\"You exceeded your current quota\",\"type\":\"insufficient_quota\"}}\n\n",
    );
    answer
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    send(&limiter, chat(r#","stream":true"#), answer).await;
    let state = account(&limiter);
    assert_eq!(
        state.throttled.values().sum::<u64>(),
        1,
        "{:?}",
        state.throttled
    );
    assert!(state.closed_for > Duration::ZERO);
    assert_eq!(state.reserved_tokens, 0);
}

/// A burst from rest was rejected although the minute had room.
#[tokio::test(start_paused = true)]
async fn bursts_from_rest() {
    let limiter = Limiter::new(Quota::per_minute(600, 1_000_000).slow_start(true));
    tokio::time::advance(Duration::from_secs(600)).await;
    let mut calls: Vec<_> = (0..100)
        .map(|_| task::spawn(limiter.acquire(&key(), Cost::request())))
        .collect();
    // Held, since what is dropped unsent comes back.
    let at_once: Vec<_> = calls
        .iter_mut()
        .map(|call| call.poll())
        .filter(Poll::is_ready)
        .collect();
    assert_eq!(at_once.len(), 1);
}

/// A window shorter than the answers forgot them while they ran.
#[tokio::test(start_paused = true)]
async fn answers_longer_than_the_window() {
    let limiter = limiter(1_000, 1_000);
    let long = limiter
        .acquire(&key(), Cost::new(100, OutputLimit::AtMost(900)))
        .await
        .unwrap();
    long.mark_sent();
    tokio::time::advance(Duration::from_secs(150)).await;
    long.settle(100, 900);
    // A provider that counts answers at their end counts these 900 now.
    let mut next = task::spawn(limiter.acquire(&key(), Cost::new(101, OutputLimit::NoOutput)));
    assert_pending!(next.poll());
    let small = limiter
        .acquire(&key(), Cost::new(100, OutputLimit::NoOutput))
        .max_wait(Duration::ZERO);
    drop(next);
    assert!(small.await.is_ok());
}

/// A rejected call kept its tokens.
#[tokio::test(start_paused = true)]
async fn failed_calls_that_cost_tokens() {
    let limiter = limiter(1_000, 100_000);
    let bad = json(
        StatusCode::BAD_REQUEST,
        r#"{"error":{"code":"invalid_parameter_error","message":"x"}}"#,
    );
    send(&limiter, chat(r#","max_tokens":5000"#), bad).await;
    let state = account(&limiter);
    assert_eq!((state.tokens.used, state.requests.used), (0, 1));
}

/// A stream whose usage never came was booked as nothing.
#[tokio::test(start_paused = true)]
async fn streams_without_usage() {
    let limiter = limiter(1_000, 100_000);
    let mut answer = json(
        StatusCode::OK,
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hello, how are you today?\"},\"index\":0}]}\n\ndata: [DONE]\n\n",
    );
    answer
        .headers_mut()
        .insert("content-type", "text/event-stream".parse().unwrap());
    send(
        &limiter,
        chat(r#","stream":true,"max_tokens":1000"#),
        answer,
    )
    .await;
    let state = account(&limiter);
    assert!(
        (15..40).contains(&state.settled_tokens),
        "{}",
        state.settled_tokens
    );
}

/// The sink is there for whoever sends, once per attempt.
#[tokio::test(start_paused = true)]
async fn a_retried_call_is_charged_per_attempt_and_settled_once() {
    let limiter = limiter(1_000, 100_000);
    let layer = AdmissionLayer::new(limiter.clone());
    for _ in 0..3 {
        let service = layer.layer(service_fn(|mut request: Request<Body>| async move {
            let sink = request.extensions_mut().remove::<UsageSink>().unwrap();
            let report = tower_qwen_tokens::Report::reported(Usage::new(10, 5));
            sink.report(&report);
            sink.report(&report);
            Ok::<_, Infallible>(json(StatusCode::OK, "{}"))
        }));
        service.oneshot(chat("")).await.unwrap();
    }
    assert_eq!(
        (
            account(&limiter).settled_tokens,
            account(&limiter).requests.used
        ),
        (45, 3)
    );
}
