//! What goes wrong where Retry, Admission, Meter and other retriers stand in another order.

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mock_qwen::{Config, Faults};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt, retry::RetryLayer as TowerRetryLayer};
use tower_qwen_retry::{RetryPolicy, TowerPolicy};
use tower_qwen_tokens::call::BoxError;

use crate::support::{Client, Place, TestResult, boxed, chat, for_axum, text};

const CALLS: u64 = 8;

/// A provider of whose attempts every second one or so fails, and no call for good.
fn flaky() -> Config {
    Config {
        faults: Faults {
            unavailable: 0.5,
            ..Faults::default()
        },
        seed: 3,
        ..Config::default()
    }
}

/// An answer far shorter than its ceiling.
fn generous() -> Value {
    let mut call = chat(false);
    call["max_tokens"] = 4_000.into();
    call
}

async fn run(place: &Place, client: Client) -> TestResult {
    for _ in 0..CALLS {
        let answer = client.clone().oneshot(place.request(&generous())).await?;
        assert!(text(answer).await?.contains("finish_reason"));
    }
    let stats = place.stats();
    assert_eq!(stats.completed, CALLS);
    assert!(stats.seen > CALLS, "some attempts failed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_meter_outside_of_retry_books_calls_and_settles_none() -> TestResult {
    let place = Place::new(flaky()).await?;
    let client = ServiceBuilder::new()
        .layer(place.meter())
        .layer(place.retry())
        .layer(place.admission())
        .service(place.mock.router())
        .map_request(for_axum)
        .map_response(boxed);
    run(&place, client.boxed_clone()).await?;
    let (stats, total, account) = (place.stats(), place.total(), place.account());
    assert_eq!((total.calls, total.failed), (CALLS, 0), "the last attempts");
    assert_eq!(account.admitted, stats.seen);
    // Each answer is taken to have been as long as it might have been.
    let settled = account.settled_tokens;
    assert!(settled > CALLS * 4_000, "{settled}");
    assert!(settled > 4 * stats.tokens.total, "{stats:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn retry_inside_of_admission_sends_more_than_was_admitted() -> TestResult {
    let place = Place::new(flaky()).await?;
    let client = ServiceBuilder::new()
        .layer(place.admission())
        .layer(place.retry())
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum)
        .map_response(boxed);
    run(&place, client.boxed_clone()).await?;
    assert_eq!(place.account().admitted, CALLS);
    Ok(())
}

/// tower's own, for all that are not ours: what matters is on which side of Admission it stands.
#[tokio::test(start_paused = true)]
async fn another_retrier_belongs_above_admission() -> TestResult {
    let retry = TowerRetryLayer::new(TowerPolicy::new(RetryPolicy::default().seed(7)));
    let body = |request: Request<Bytes>| request.map(Full::new);
    let for_axum = |request: Request<Full<Bytes>>| request.map(Body::new);

    let place = Place::new(flaky()).await?;
    let below = ServiceBuilder::new()
        .map_request(body)
        .layer(place.admission())
        .layer(retry.clone())
        .map_err(BoxError::from)
        .layer(place.meter())
        .map_request(for_axum)
        .service(place.mock.router())
        .map_response(boxed);
    run(&place, below.boxed_clone()).await?;
    assert_eq!(place.account().admitted, CALLS);

    let place = Place::new(flaky()).await?;
    let above = ServiceBuilder::new()
        .map_request(body)
        .layer(retry)
        .layer(place.admission())
        .layer(place.meter())
        .map_request(for_axum)
        .service(place.mock.router())
        .map_response(boxed);
    run(&place, above.boxed_clone()).await?;
    assert_eq!(place.account().admitted, place.stats().seen);
    place.assert_all_agree();
    Ok(())
}
