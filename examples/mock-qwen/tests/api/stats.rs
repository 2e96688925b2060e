//! What `GET /stats` tells.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use mock_qwen::{Charge, Config, Faults, Growth, MockQwen, Stats};
use serde_json::json;
use tower::ServiceExt;

use crate::support::{COMPATIBLE, ask, chat, instant, pass, post, prompt_of, seconds};

/// A hundred calls with everything that can happen, in paused time.
async fn study(seed: u64) -> Stats {
    let mock = MockQwen::new(Config {
        rpm: 20,
        tpm: 4_000,
        jitter: 0.2,
        per_second: true,
        growth: Some(Growth {
            factor: 1.0,
            period: seconds(10),
            floor: 3,
        }),
        seed,
        faults: Faults {
            unavailable: 0.1,
            reset: 0.1,
            stream_error: 0.1,
            no_usage: 0.1,
            throttle_500: 0.1,
            error_200: 0.05,
            bare_json: 0.05,
            cut: 0.05,
        },
        ..Config::default()
    });
    let mut tasks = Vec::new();
    for number in 0..100_u32 {
        let mock = mock.clone();
        tasks.push(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(700) * number).await;
            let mut body = chat(&format!("question {number}"));
            body["stream"] = json!(number % 2 == 0);
            let mut answer = post(&mock, COMPATIBLE, &[], &body).await.into_body();
            let mut left = if number % 10 == 0 { 3 } else { usize::MAX };
            while left > 0 && matches!(answer.frame().await, Some(Ok(_))) {
                left -= 1;
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    mock.stats()
}

#[tokio::test(start_paused = true)]
async fn the_same_calls_give_the_same_stats() {
    let stats = study(1).await;
    assert_eq!(stats, study(1).await);
    assert_ne!(stats, study(2).await);
}

#[tokio::test(start_paused = true)]
async fn every_call_is_counted_once() {
    let stats = study(3).await;
    let faults = stats.faults;
    assert_eq!(stats.seen, 100);
    assert_eq!(
        stats.seen,
        stats.accepted
            + stats.throttled.total()
            + faults.unavailable
            + faults.throttle_500
            + faults.error_200
            + faults.bare_json
            + stats.rejected
    );
    assert_eq!(
        stats.accepted,
        stats.in_flight
            + stats.completed
            + stats.aborted
            + faults.reset
            + faults.stream_error
            + faults.cut
    );
    assert!(stats.throttled.growth > 0 && faults.throttle_500 > 0);
    assert!(stats.completed > 0 && stats.aborted > 0 && stats.throttled.total() > 0);
    assert_eq!(
        stats.tokens.total,
        stats.tokens.prompt + stats.tokens.output
    );
    assert_eq!(stats.in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_tells_the_same_as_the_handle() {
    let mock = MockQwen::new(instant());
    ask(&mock, "hello").await;
    let request = Request::get("/stats").body(Body::empty()).expect("valid");
    let response = mock.router().oneshot(request).await.expect("an answer");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let stats: Stats = serde_json::from_slice(&body).expect("stats");
    assert_eq!(stats, mock.stats());
    assert_eq!((stats.seen, stats.completed), (1, 1));
    assert_eq!(stats.tokens.total, prompt_of("hello") + 1);
    assert!(
        stats.utilisation.mean.tokens.is_sign_positive(),
        "no full window, and not -0.0"
    );

    let request = Request::post("/stats/reset")
        .body(Body::empty())
        .expect("valid");
    let response = mock.router().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 204);
    let stats = mock.stats();
    assert_eq!((stats.seen, stats.completed, stats.tokens.total), (0, 0, 0));
    assert_eq!(
        stats.utilisation.highest_window.requests,
        1.0 / 800.0,
        "it still counts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_keeps_the_quotas_and_the_calls_in_flight() {
    let mock = MockQwen::new(Config {
        rpm: 2,
        ..Config::default()
    });
    ask(&mock, "hello").await;
    let mut body = chat("hello");
    body["stream"] = json!(true);
    let stream = post(&mock, COMPATIBLE, &[], &body).await.into_body();
    mock.reset_stats();
    assert_eq!((mock.stats().accepted, mock.stats().in_flight), (1, 1));
    stream.collect().await.expect("a whole stream");
    assert_eq!((mock.stats().completed, mock.stats().in_flight), (1, 0));
    assert_eq!(ask(&mock, "hello").await, 429);
}

/// Shares of 10 requests in windows from the first call, at 5 s: 3, 4 and 2, and one that is not
/// full.
#[tokio::test(start_paused = true)]
async fn windows_start_with_the_first_call() {
    let mock = MockQwen::new(Config {
        rpm: 10,
        ..instant()
    });
    pass(seconds(5)).await;
    for calls in [3, 4, 2, 1] {
        for _ in 0..calls {
            assert_eq!(ask(&mock, "hello").await, 200);
        }
        pass(seconds(60)).await;
    }
    let utilisation = mock.stats().utilisation;
    assert_eq!(utilisation.windows.requests, [0.3, 0.4, 0.2]);
    assert!((utilisation.mean.requests - 0.3).abs() < 1e-9);
    assert!((utilisation.steady.requests - 0.3).abs() < 1e-9);
    assert_eq!(utilisation.highest_window.requests, 0.4);
    let cost = (prompt_of("hello") + 1) as f64 / 800_000.0;
    let expected = [3.0 * cost, 4.0 * cost, 2.0 * cost];
    for (share, expected) in utilisation.windows.tokens.iter().zip(expected) {
        assert!((share - expected).abs() < 1e-12);
    }
    assert!((utilisation.steady.tokens - 3.0 * cost).abs() < 1e-12);
}

#[tokio::test(start_paused = true)]
async fn windows_are_dated_as_charges_are() {
    let prompt = prompt_of("hello");
    for (charge, first, second) in [
        (Charge::Start, prompt + 20, 0),
        (Charge::End, prompt, 20),
        (Charge::Estimate, prompt + 20, 0),
    ] {
        let mock = MockQwen::new(Config {
            tpm: 10_000,
            charge,
            ttft: seconds(70),
            tpot: Duration::ZERO,
            output_tokens: 1_000,
            ..Config::default()
        });
        let mut body = chat("hello");
        body["max_tokens"] = json!(20);
        post(&mock, COMPATIBLE, &[], &body).await;
        pass(seconds(50)).await;
        let last = tokio::spawn({
            let mock = mock.clone();
            async move { post(&mock, COMPATIBLE, &[], &body).await }
        });
        tokio::task::yield_now().await;
        let windows = mock.stats().utilisation.windows.tokens;
        let expected = [first as f64 / 10_000.0, second as f64 / 10_000.0];
        assert_eq!(windows, expected, "{charge:?}");
        last.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn holds_are_seen_in_the_highest_window_only() {
    let mock = MockQwen::new(Config {
        tpm: 10_000,
        max_output: 5_000,
        charge: Charge::Estimate,
        ..instant()
    });
    ask(&mock, "hello").await;
    pass(seconds(60)).await;
    ask(&mock, "hello").await;
    let utilisation = mock.stats().utilisation;
    let prompt = prompt_of("hello");
    assert_eq!(
        utilisation.highest_window.tokens,
        (prompt + 5_000) as f64 / 10_000.0
    );
    assert_eq!(utilisation.windows.tokens, [(prompt + 1) as f64 / 10_000.0]);
}
