//! Timeouts of tower (an error) and of tower-http (an answer) around and between our layers.

use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::Config;
use tower::{ServiceBuilder, ServiceExt, timeout::TimeoutLayer as TowerTimeoutLayer};
use tower_http::{
    map_response_body::MapResponseBodyLayer,
    timeout::{ResponseBodyTimeoutLayer, TimeoutLayer},
};
use tower_qwen_retry::Attempts;
use tower_qwen_tokens::stall_timeout::StallTimeoutLayer;

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

/// tower-http's, below the Meter: an answer, which Retry judges by its status.
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
    let attempts = answer
        .extensions()
        .get::<Attempts>()
        .map(|attempts| attempts.number);
    assert_eq!(attempts, Some(5));
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
