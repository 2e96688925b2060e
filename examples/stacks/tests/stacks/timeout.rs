//! Timeouts of tower (an error) and of tower-http (an answer) around and between our layers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

use axum::body::Body;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::Config;
use tower::{ServiceBuilder, ServiceExt, timeout::TimeoutLayer as TowerTimeoutLayer};
use tower_http::{
    map_response_body::MapResponseBodyLayer,
    timeout::{ResponseBodyTimeoutLayer, TimeoutLayer},
};
use tower_qwen_ratelimit::Rejected;
use tower_qwen_tokens::{CallReport, Deadline, stall_timeout::StallTimeoutLayer};

use crate::support::{Place, TestResult, boxed, chat, for_axum};

/// Answers after an hour.
fn slow() -> Config {
    Config {
        ttft: Duration::from_secs(3_600),
        ..Config::default()
    }
}

fn gateway_timeout(seconds: u64) -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(seconds))
}

/// tower's, where an attempt's timeout belongs. It is an error, which Retry knows (feature `tower-0-5`).
#[tokio::test(start_paused = true)]
async fn an_attempts_timeout_of_tower_is_retried() -> TestResult {
    let place = Place::new(slow()).await?;
    let client = ServiceBuilder::new()
        .layer(place.retry())
        .layer(place.admission())
        .layer(TowerTimeoutLayer::new(Duration::from_secs(10)))
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    let error = client.oneshot(place.request(&chat(false))).await.err();
    let error = error.ok_or("it answered")?;
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    assert_eq!(place.stats().seen, 5);
    let total = place.total();
    assert_eq!((total.calls, total.cancelled), (5, 5));
    assert_eq!(place.account().in_flight, 0);
    Ok(())
}

/// tower-http's, below the Meter: an answer, which Retry classifies by its status.
#[tokio::test(start_paused = true)]
async fn an_attempts_timeout_of_tower_http_is_retried() -> TestResult {
    let place = Place::new(slow()).await?;
    let client = ServiceBuilder::new()
        .layer(place.retry())
        .layer(place.admission())
        .layer(place.meter())
        .layer(gateway_timeout(10))
        .service(place.mock.router())
        .map_request(for_axum);
    let answer = client.oneshot(place.request(&chat(false))).await?;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let report = answer.extensions().get::<CallReport>();
    assert_eq!(report.map(CallReport::sends), Some(5));
    let total = place.total();
    assert_eq!((total.calls, total.failed), (5, 5));
    Ok(())
}

/// The same above the Meter, whose body can be made out of nothing as well: the Meter sees a caller who leaves.
#[tokio::test(start_paused = true)]
async fn tower_https_between_admission_and_the_meter_is_retried_too() -> TestResult {
    let place = Place::new(slow()).await?;
    let client = ServiceBuilder::new()
        .layer(place.retry())
        .layer(place.admission())
        .layer(gateway_timeout(10))
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    let answer = client.oneshot(place.request(&chat(false))).await?;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let total = place.total();
    assert_eq!((total.calls, total.cancelled), (5, 5));
    assert_eq!((place.stats().seen, place.account().in_flight), (5, 0));
    Ok(())
}

/// Between Retry and Admission the wait for quota looks like a slow server: five attempts at a provider that nobody asked.
#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_admission_makes_retries_of_waits() -> TestResult {
    let timeout = TowerTimeoutLayer::new(Duration::from_secs(5));

    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = attempts.clone();
    let wrong = ServiceBuilder::new()
        .layer(place.retry())
        .map_request(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            request
        })
        .layer(timeout.clone())
        .layer(place.admission())
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    wrong.clone().oneshot(place.request(&chat(false))).await?;
    assert_eq!(attempts.swap(0, Ordering::Relaxed), 1);
    let error = wrong.oneshot(place.request(&chat(false))).await.err();
    let error = error.ok_or("it answered")?;
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    assert_eq!(attempts.load(Ordering::Relaxed), 5);
    assert_eq!(place.stats().seen, 1);

    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let right = ServiceBuilder::new()
        .layer(place.retry())
        .layer(place.admission())
        .layer(timeout)
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    for _ in 0..2 {
        let answer = right.clone().oneshot(place.request(&chat(false))).await?;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(place.stats().seen, 2);
    Ok(())
}

/// tower's, around the whole call: it takes all of its time to find out what Admission would have known by a deadline.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_whole_call_waits_where_a_deadline_refuses() -> TestResult {
    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let patience = Duration::from_secs(10);
    let client = ServiceBuilder::new()
        .layer(TowerTimeoutLayer::new(patience))
        .layer(place.stack())
        .service(place.mock.router())
        .map_request(for_axum);
    client.clone().oneshot(place.request(&chat(false))).await?;

    let begun = Instant::now();
    let answer = client.clone().oneshot(place.request(&chat(false))).await;
    let error = answer.err().ok_or("it answered")?;
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    assert!(Instant::now() >= begun + patience);
    assert_eq!(place.account().queued, 0);

    let begun = Instant::now();
    let mut request = place.request(&chat(false));
    request.extensions_mut().insert(Deadline::after(patience));
    let error = client.oneshot(request).await.err();
    let error = error.ok_or("it answered")?;
    assert!(error.is::<Rejected>(), "{error}");
    assert_eq!(Instant::now(), begun);
    assert_eq!(place.stats().seen, 1);
    Ok(())
}

/// It makes an empty body, so what stands below it needs one that can be empty: Retry's and Admission's cannot, a boxed one
/// can.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_the_whole_call_stands_outside_of_a_boxed_body() -> TestResult {
    let place = Place::new(slow()).await?;
    let client = ServiceBuilder::new()
        .layer(gateway_timeout(60))
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(place.retry())
        .layer(place.admission())
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    let answer: Response<Body> = client.oneshot(place.request(&chat(false))).await?;
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    let total = place.total();
    assert_eq!((total.calls, total.cancelled), (1, 1));
    assert_eq!((place.account().in_flight, place.account().queued), (0, 0));
    Ok(())
}

/// A silent body: tower-http's timeout and our own, both below the Meter, which counts what came until then.
#[tokio::test(start_paused = true)]
async fn a_body_that_falls_silent_is_counted_from_what_came() -> TestResult {
    let config = || Config {
        tpot: Duration::from_secs(30),
        ..Config::default()
    };
    let silence = Duration::from_secs(100);
    for ours in [false, true] {
        let place = Place::new(config()).await?;
        let request = place.request(&chat(true));
        let stack = ServiceBuilder::new()
            .layer(place.retry())
            .layer(place.admission())
            .layer(place.meter());
        let answer = if ours {
            let client = stack.layer(StallTimeoutLayer::new(silence));
            let client = client.service(place.mock.router()).map_request(for_axum);
            boxed(client.oneshot(request).await?)
        } else {
            let client = stack.layer(ResponseBodyTimeoutLayer::new(silence));
            let client = client.service(place.mock.router()).map_request(for_axum);
            boxed(client.oneshot(request).await?)
        };
        assert!(answer.into_body().collect().await.is_err());
        let total = place.total();
        assert_eq!(
            (total.calls, total.failed, total.estimated + total.unknown),
            (1, 1, 1)
        );
        assert_eq!(place.account().in_flight, 0);
    }
    Ok(())
}
