//! What the provider's answers do to an account.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    AccountSnapshot, AdmissionLayer, BoxError, Limiter, Pacing, Quota, admission::AnswerKind,
};
use tower_qwen_tokens::{
    PacedUntil, Report, Usage, UsageSink,
    classify::{ClassifyOptions, FirstEvent},
    internal::clock,
};

type Body = Full<Bytes>;
type Answer = Response<Body>;

const CHAT: &str = "https://host/compatible-mode/v1/chat/completions";

fn request() -> Request<Body> {
    let body = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}],"max_tokens":1000}"#;
    Request::post(CHAT).body(Full::from(body)).unwrap()
}

/// Sends one call that is answered so.
async fn send(layer: &AdmissionLayer, answer: Answer) -> Result<(), BoxError> {
    let service = service_fn(move |_: Request<Body>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    layer.layer(service).oneshot(request()).await.map(drop)
}

fn answer(status: StatusCode, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::from(body)).unwrap()
}

fn throttle(body: &'static str) -> Answer {
    answer(StatusCode::TOO_MANY_REQUESTS, &[], body)
}

fn account(limiter: &Limiter) -> AccountSnapshot {
    limiter.snapshot().remove(0)
}

fn at_once() -> Limiter {
    Limiter::new(
        Quota::per_minute(100, 100_000)
            .headroom(0)
            .pacing(Pacing::Window),
    )
}

#[tokio::test(start_paused = true)]
async fn remaining_lowers_the_level_until_the_reset() {
    let limiter = at_once();
    let layer = AdmissionLayer::new(limiter.clone());
    let headers = [
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "30s"),
    ];
    send(&layer, answer(StatusCode::OK, &headers, "{}"))
        .await
        .unwrap();
    assert_eq!(account(&limiter).requests.used, 100);
    let start = clock::now();
    send(&layer, answer(StatusCode::OK, &[], "{}"))
        .await
        .unwrap();
    let waited = start.elapsed();
    assert!((29..=31).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn remaining_never_raises_the_level() {
    let limiter = at_once();
    let layer = AdmissionLayer::new(limiter.clone());
    for _ in 0..40 {
        send(&layer, answer(StatusCode::OK, &[], "{}"))
            .await
            .unwrap();
    }
    for (remaining, used) in [("99", 41), ("60", 42), ("57", 43), ("50", 50)] {
        let headers = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", remaining),
        ];
        send(&layer, answer(StatusCode::OK, &headers, "{}"))
            .await
            .unwrap();
        assert_eq!(account(&limiter).requests.used, used, "{remaining}");
    }
}

#[tokio::test(start_paused = true)]
async fn absurd_levels_do_no_harm() {
    let limiter = at_once();
    let layer = AdmissionLayer::new(limiter.clone());
    for value in ["-5", "x", "", "18446744073709551615", "1e30"] {
        let headers = [
            ("x-ratelimit-limit-tokens", value),
            ("x-ratelimit-remaining-tokens", value),
            ("x-ratelimit-reset-tokens", value),
        ];
        send(&layer, answer(StatusCode::OK, &headers, "{}"))
            .await
            .unwrap();
    }
    assert!(account(&limiter).tokens.used < 10_000);
}

#[tokio::test(start_paused = true)]
async fn growth_halves_the_rate_and_lets_it_ramp_up_again() {
    let limiter = Limiter::new(Quota::per_minute(960, 10_000_000));
    let layer = AdmissionLayer::new(limiter.clone());
    assert_eq!(
        account_after(&layer, &limiter).await.slow_start_percent,
        None
    );
    let growth = throttle(
        r#"{"error":{"code":"limit_burst_rate","message":"Request rate increased too quickly. To ensure system stability, please adjust your client logic to scale requests more smoothly over time.","type":"limit_burst_rate"}}"#,
    );
    send(&layer, growth).await.unwrap();
    let state = account(&limiter);
    assert_eq!(state.slow_start_percent, Some(50));
    assert_eq!(
        (state.requests.rate_percent, state.tokens.rate_percent),
        (100, 100)
    );
    assert!(state.closed_for > Duration::ZERO);

    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(
        account(&limiter).slow_start_percent,
        Some(6),
        "idle: from the beginning"
    );
    let start = clock::now();
    let mut at_full = None;
    while start.elapsed() < Duration::from_secs(30) {
        send(&layer, answer(StatusCode::OK, &[], "{}"))
            .await
            .unwrap();
        if account(&limiter).slow_start_percent == Some(100) {
            at_full.get_or_insert(start.elapsed());
        }
    }
    let at_full = at_full.expect("a rate that is used grows").as_secs();
    assert!((5..=15).contains(&at_full), "{at_full} s");
}

async fn account_after(layer: &AdmissionLayer, limiter: &Limiter) -> AccountSnapshot {
    send(layer, answer(StatusCode::OK, &[], "{}"))
        .await
        .unwrap();
    account(limiter)
}

#[tokio::test(start_paused = true)]
async fn slow_start_begins_at_a_sixteenth() {
    let limiter = Limiter::new(Quota::per_minute(960, 10_000_000).slow_start(true));
    let layer = AdmissionLayer::new(limiter.clone());
    let start = clock::now();
    let mut in_the_first_second = 0;
    loop {
        send(&layer, answer(StatusCode::OK, &[], "{}"))
            .await
            .unwrap();
        if start.elapsed() >= Duration::from_secs(1) {
            break;
        }
        in_the_first_second += 1;
    }
    // Of 16 at the full rate. What is saved is spent at one and a half times the rate.
    assert!(in_the_first_second <= 2, "{in_the_first_second}");
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_lowers_how_many_may_run() {
    let limiter = at_once();
    let key = tower_qwen_ratelimit::Key::new("https://host", "qwen-plus");
    let mut running = Vec::new();
    for _ in 0..9 {
        let reservation = limiter
            .acquire(&key, tower_qwen_ratelimit::Cost::request())
            .await
            .unwrap();
        reservation.mark_sent();
        running.push(reservation);
    }
    let layer = AdmissionLayer::new(limiter.clone());
    let busy = throttle(
        r#"{"code":"Throttling.Concurrency","message":"Too many concurrent requests.","request_id":"x"}"#,
    );
    let before = account(&limiter).may_run;
    send(&layer, busy).await.unwrap();
    let after = account(&limiter);
    assert_eq!(before, u64::MAX);
    assert_eq!(after.may_run, 7, "seven tenths of ten");
    drop(running);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(account(&limiter).may_run, u64::MAX);
}

#[tokio::test(start_paused = true)]
async fn kinds_of_answers_are_learned_apart() {
    let limiter = Limiter::new(
        Quota::per_minute(1_000, 10_000_000)
            .headroom(0)
            .pacing(Pacing::Window),
    );
    let layer = AdmissionLayer::new(limiter.clone());
    let send = |kind: &'static str, output: u64| {
        let mut request = request();
        request.extensions_mut().insert(AnswerKind::new(kind));
        let service = layer.layer(service_fn(move |request: Request<Body>| async move {
            if let Some(sink) = request.extensions().get::<UsageSink>() {
                sink.report(&Report::reported(Usage::new(10, output)));
            }
            Ok::<_, Infallible>(answer(StatusCode::OK, &[], ""))
        }));
        service.oneshot(request)
    };
    for _ in 0..20 {
        send("classify", 2).await.unwrap();
        send("write", 900).await.unwrap();
    }
    let reserved = |kind: &'static str| {
        let mut request = request();
        request.extensions_mut().insert(AnswerKind::new(kind));
        let limiter = limiter.clone();
        let service = layer.layer(service_fn(move |_: Request<Body>| {
            let reserved = account(&limiter).reserved_tokens;
            async move {
                Ok::<_, Infallible>(
                    Response::builder()
                        .header("reserved", reserved)
                        .body(Body::default())
                        .unwrap(),
                )
            }
        }));
        async move {
            let answer = service.oneshot(request).await.unwrap();
            answer.headers()["reserved"]
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        }
    };
    let (short, long) = (reserved("classify").await, reserved("write").await);
    assert!(short < 30 && (900..930).contains(&long), "{short} {long}");
}

#[tokio::test(start_paused = true)]
async fn the_provider_is_asked_to_queue_only_on_request() {
    let seen = |layer: AdmissionLayer, own: Option<&'static str>| async move {
        let mut request = request();
        if let Some(own) = own {
            request
                .headers_mut()
                .insert("x-dashscope-wait-timeout", own.parse().unwrap());
        }
        let service = layer.layer(service_fn(|request: Request<Body>| async move {
            let mut answer = Response::new(Body::default());
            *answer.headers_mut() = request.headers().clone();
            Ok::<_, Infallible>(answer)
        }));
        let answer = service.oneshot(request).await.unwrap();
        answer
            .headers()
            .get("x-dashscope-wait-timeout")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let layer = AdmissionLayer::new(at_once());
    assert_eq!(seen(layer.clone(), None).await, None);
    let asking = layer.provider_queue_timeout(Duration::from_secs(30));
    assert_eq!(seen(asking.clone(), None).await.as_deref(), Some("30"));
    assert_eq!(seen(asking, Some("5")).await.as_deref(), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_our_count_does_not_explain_is_a_hint() {
    let tokens = || {
        throttle(
            r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota"}}"#,
        )
    };
    let limiter = at_once();
    send(&AdmissionLayer::new(limiter.clone()), tokens())
        .await
        .unwrap();
    assert_eq!(account(&limiter).unexplained_throttles, 1);

    let limiter = at_once();
    let key = tower_qwen_ratelimit::Key::new("https://host", "qwen-plus");
    let cost = tower_qwen_ratelimit::Cost::new(95_000, tower_qwen_ratelimit::OutputLimit::NoOutput);
    let running = limiter.acquire(&key, cost).await.unwrap();
    running.mark_sent();
    send(&AdmissionLayer::new(limiter.clone()), tokens())
        .await
        .unwrap();
    assert_eq!(account(&limiter).unexplained_throttles, 0);
    send(
        &AdmissionLayer::new(limiter.clone()),
        throttle(r#"{"code":"Throttling.RateQuota","message":"x"}"#),
    )
    .await
    .unwrap();
    assert_eq!(
        account(&limiter).unexplained_throttles,
        0,
        "requests say nothing of tokens"
    );
}

/// Sends one call that is answered so, and gives the mark on the answer.
async fn mark(
    layer: &AdmissionLayer,
    request: Request<Body>,
    answer: Answer,
) -> Option<PacedUntil> {
    let service = service_fn(move |_: Request<Body>| {
        let answer = answer.clone();
        async { Ok::<_, Infallible>(answer) }
    });
    let answered = layer.layer(service).oneshot(request).await.unwrap();
    answered.extensions().get().copied()
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_rejects_whatever_is_sent_does_so_for_all() {
    let layer = AdmissionLayer::new(at_once());
    let capacity = || throttle(r#"{"code":"Throttling","message":"x","request_id":"r"}"#);
    let mut outage = Vec::new();
    for _ in 0..4 {
        let paced = mark(&layer, request(), capacity()).await.unwrap();
        outage.push(paced.outage);
        assert!(paced.until <= clock::now() + Duration::from_secs(3));
    }
    assert_eq!(outage, [false, false, true, true]);
    send(&layer, answer(StatusCode::OK, &[], "{}"))
        .await
        .unwrap();
    let paced = mark(&layer, request(), capacity()).await.unwrap();
    assert!(!paced.outage, "one was accepted in between");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_missed_again_and_again_closes_the_account() {
    let limiter = at_once();
    let layer = AdmissionLayer::new(limiter.clone());
    let missed = || answer(StatusCode::SERVICE_UNAVAILABLE, &[], "");
    for _ in 0..2 {
        send(&layer, answer(StatusCode::OK, &[], "{}"))
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(mark(&layer, request(), missed()).await, None);
        }
        assert_eq!(account(&limiter).closed_for, Duration::ZERO);
    }
    assert!(mark(&layer, request(), missed()).await.is_some());
    assert_eq!(
        account(&limiter).requests.rate_percent,
        100,
        "no quota is to blame"
    );
    let until = [("retry-after", "30")];
    let named = answer(StatusCode::SERVICE_UNAVAILABLE, &until, "");
    let layer = AdmissionLayer::new(at_once());
    for _ in 0..3 {
        assert_eq!(
            mark(&layer, request(), named.clone()).await,
            None,
            "the wait that is stated is that of one call"
        );
    }
    let paced = mark(&layer, request(), named).await.unwrap();
    assert_eq!(paced.until, clock::now() + Duration::from_secs(30));
    let error = answer(StatusCode::INTERNAL_SERVER_ERROR, &[], "");
    for _ in 0..9 {
        assert_eq!(
            mark(&layer, request(), error.clone()).await,
            None,
            "of any one call"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_throttle_of_a_task_that_there_is_none_of_closes_nothing() {
    let limiter = at_once();
    let mut task = request();
    let enable = "enable".parse().unwrap();
    task.headers_mut().insert("x-dashscope-async", enable);
    let rejected = throttle(r#"{"code":"Throttling.RateQuota","message":"x","request_id":"r"}"#);
    let layer = AdmissionLayer::new(limiter.clone());
    assert_eq!(mark(&layer, task, rejected).await, None);
    assert_eq!(account(&limiter).closed_for, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_begins_a_stream_counts_where_it_is_asked_for() {
    let event = "event:error\n:HTTP_STATUS/429\ndata:{\"code\":\"Throttling.RateQuota\",\"message\":\"x\"}\n\n";
    let stream = || {
        answer(
            StatusCode::OK,
            &[("content-type", "text/event-stream")],
            event,
        )
    };
    let limiter = at_once();
    let layer = AdmissionLayer::new(limiter.clone());
    assert_eq!(mark(&layer, request(), stream()).await, None);
    let mut asking = request();
    let options = ClassifyOptions::default().first_event(FirstEvent::default());
    asking.extensions_mut().insert(options);
    assert!(mark(&layer, asking, stream()).await.is_some());
    assert!(account(&limiter).closed_for > Duration::ZERO);
    assert_eq!(account(&limiter).throttled["request_rate"], 1);
}
