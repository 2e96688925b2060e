//! The first call of the account and of each model goes alone, in paused time.

mod support;

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use batch::{counts::Counts, end_rules::Ended, stop::stop};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mock_qwen::{Config, MockQwen};
use serde_json::{Value, json};
use support::{Harness, TestResult, Watch, line};
use tokio::time::{Instant, sleep};
use tower::service_fn;
use tower_qwen_ratelimit::Quota;

const GOOD: &str = r#"{"choices":[{"index":0,"message":{"content":"Words"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":5}}"#;

/// When calls of a model came, from the first one on.
type Arrivals = Vec<(String, Duration)>;

/// Calls of these models, in turn.
fn calls(count: usize, models: &[&str]) -> String {
    (0..count)
        .map(|number| {
            let body =
                json!({"model": models[number % models.len()], "max_tokens": 10, "messages": []});
            line(&format!("c{number}"), "/v1/chat/completions", &body)
        })
        .collect()
}

/// Runs an input against a host that answers its call of each number, from 0, with a status after a time.
async fn run(input: &str, host: fn(usize) -> (u16, Duration)) -> TestResult<(Counts, Arrivals)> {
    let quota = Quota::per_minute(60_000_000, 1_000_000_000);
    let mut harness = Harness::new(MockQwen::new(Config::default()), quota)?;
    harness.run.concurrency = 16.into();
    let arrivals = Arc::new(Mutex::new(Arrivals::new()));
    let began = Instant::now();
    let seen = arrivals.clone();
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let seen = seen.clone();
        async move {
            let Ok(body) = request.into_body().collect().await;
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            let model = body["model"].as_str().unwrap_or_default().to_owned();
            let number = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((model, began.elapsed()));
                seen.len() - 1
            };
            let (status, time) = host(number);
            sleep(time).await;
            let mut answer = Response::new(Body::from(GOOD));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            Ok::<_, Infallible>(answer)
        }
    });
    let (_stopper, stop) = stop();
    let counts = harness
        .run_over(transport, input.as_bytes(), &mut Watch::default(), stop)
        .await?;
    let arrivals = std::mem::take(&mut *arrivals.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((counts, arrivals))
}

#[tokio::test(start_paused = true)]
async fn the_first_goes_alone_and_then_one_of_each_model() -> TestResult {
    let second = |_| (200, Duration::from_secs(1));
    let (counts, arrivals) = run(&calls(16, &["a", "b"]), second).await?;
    assert_eq!(counts.succeeded, 16);
    let before = |time: u64| {
        let early = arrivals
            .iter()
            .filter(move |(_, at)| *at < Duration::from_secs(time));
        early.map(|(model, _)| model.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(before(1), ["a"]);
    let mut then = before(2);
    then.sort_unstable();
    assert_eq!(
        then,
        [&["a"; 8][..], &["b"]].concat(),
        "the rest of a, and one of b"
    );
    assert_eq!(before(3).len(), 16);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_first_call_that_thinks_for_long_holds_the_others_for_half_a_minute() -> TestResult {
    let slow = |number| match number {
        0 => (200, Duration::from_secs(300)),
        _ => (200, Duration::from_secs(1)),
    };
    let (counts, arrivals) = run(&calls(10, &["a"]), slow).await?;
    assert_eq!(counts.succeeded, 10);
    for (number, (_, at)) in arrivals.iter().enumerate() {
        let expected = if number == 0 { 0 } else { 30 };
        assert_eq!(at.as_secs(), expected, "{number}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_other_goes_after_a_first_one_that_is_rejected() -> TestResult {
    let (counts, arrivals) = run(&calls(1_000, &["a"]), |_| (401, Duration::from_secs(1))).await?;
    assert_eq!((counts.failed, arrivals.len()), (1, 1));
    assert!(counts.ended.is_some() && !counts.stopped);
    // Held: as many as may be, and one that was read.
    assert!(counts.not_sent <= 17, "{}", counts.not_sent);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_ends_the_run_though_calls_hang_in_it() -> TestResult {
    let quota = Quota::per_minute(600, 1_000_000_000);
    let mut harness = Harness::new(MockQwen::new(Config::default()), quota)?;
    harness.run.concurrency = 16.into();
    let began = Instant::now();
    let transport = service_fn(move |_: Request<Full<Bytes>>| async move {
        let at = began.elapsed();
        if at > Duration::from_secs(10) {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        // Its last calls hang.
        let time = if at > Duration::from_secs(9) {
            86_400
        } else {
            1
        };
        sleep(Duration::from_secs(time)).await;
        Ok(Response::new(Body::from(GOOD)))
    });
    let (_stopper, stop) = stop();
    let input = calls(5_000, &["a"]);
    let mut watch = Watch::default();
    let counts = harness
        .run_over(transport, input.as_bytes(), &mut watch, stop)
        .await?;
    let ended = counts.ended.as_ref().map(Ended::as_str);
    assert_eq!(ended, Some("address"), "{:?} {counts:?}", began.elapsed());
    assert!(counts.succeeded > 50 && counts.not_sent > 0 && !counts.stopped);
    // Those that were on their way, and one every two seconds: not the whole file.
    assert!(counts.failed <= 16 + 15 + 1, "{}", counts.failed);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10 + 30 + 10 + 20), "{took:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_in_time_ends_nothing() -> TestResult {
    let quota = Quota::per_minute(600, 1_000_000_000);
    let mut harness = Harness::new(MockQwen::new(Config::default()), quota)?;
    harness.run.concurrency = 16.into();
    let began = Instant::now();
    let transport = service_fn(move |_: Request<Full<Bytes>>| async move {
        if (10..30).contains(&began.elapsed().as_secs()) {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        }
        Ok(Response::new(Body::from(GOOD)))
    });
    let (_stopper, stop) = stop();
    let input = calls(1_000, &["a"]);
    let mut watch = Watch::default();
    let counts = harness
        .run_over(transport, input.as_bytes(), &mut watch, stop)
        .await?;
    assert_eq!(counts.ended, None);
    assert_eq!(counts.succeeded + counts.failed, 1_000);
    assert!(counts.failed <= 16 + 10 + 1, "{}", counts.failed);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_beginning_is_no_reason_to_end() -> TestResult {
    let outage = |number| match number {
        0..=2 => (503, Duration::from_millis(10)),
        _ => (200, Duration::from_millis(10)),
    };
    let (counts, _) = run(&calls(20, &["a"]), outage).await?;
    assert_eq!((counts.succeeded, counts.ended), (20, None));
    Ok(())
}
