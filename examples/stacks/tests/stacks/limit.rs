//! tower-http's limit of the request's body on a server: outside, before anything is read.

use axum::{Router, body::Body};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode};
use mock_qwen::Config;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::{limit::RequestBodyLimitLayer, map_request_body::MapRequestBodyLayer};

use crate::support::{Place, TestResult, chat, for_axum};

/// As long as the request, but of a length that nobody knows.
fn of_unknown_length(request: Request<Bytes>) -> Request<Body> {
    request.map(|bytes| {
        let halves = [bytes.slice(..40), bytes.slice(40..)];
        Body::from_stream(stream::iter(halves.map(Ok::<_, std::io::Error>)))
    })
}

/// A router whose layers are added one by one: the one added last stands outside.
fn limited(place: &Place, bytes: usize) -> Router {
    let router = place.mock.router().layer(place.meter());
    router.layer(RequestBodyLimitLayer::new(bytes))
}

#[tokio::test(start_paused = true)]
async fn what_is_within_the_limit_passes() -> TestResult {
    let place = Place::new(Config::default()).await?;
    for request in [
        for_axum(place.request(&chat(false))),
        of_unknown_length(place.request(&chat(false))),
    ] {
        let answer = limited(&place, 4_096).oneshot(request).await?;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(place.stats().seen, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_it_never_reaches_the_handler() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let mut declared = for_axum(place.request(&chat(false)));
    declared
        .headers_mut()
        .insert("content-length", "5000".parse()?);
    let answer = limited(&place, 50).oneshot(declared).await?;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);

    // Only reading shows that it is too long: it is the Meter that reads.
    let answer = limited(&place, 50)
        .oneshot(of_unknown_length(place.request(&chat(false))))
        .await?;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!((place.stats().seen, place.total().calls), (0, 0));
    Ok(())
}

/// In one `ServiceBuilder` the limit's body has to be made the router's again.
#[tokio::test(start_paused = true)]
async fn in_one_builder_the_body_is_mapped_back() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let server = ServiceBuilder::new()
        .layer(RequestBodyLimitLayer::new(4_096))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(place.meter())
        .service(place.mock.router());
    let answer = server
        .oneshot(for_axum(place.request(&chat(false))))
        .await?;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(())
}

/// Inside of the Meter it comes too late: everything was read, and the refusal is an attempt that failed.
#[tokio::test(start_paused = true)]
async fn inside_of_the_meter_it_comes_too_late() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let router = place.mock.router().layer(RequestBodyLimitLayer::new(50));
    let server = place.meter().layer(router).map_request(for_axum);
    let mut request = place.request(&chat(false));
    request
        .headers_mut()
        .insert("content-length", "5000".parse()?);
    let answer = server.oneshot(request).await?;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    drop(answer);
    assert_eq!(
        (
            place.stats().seen,
            place.total().calls,
            place.total().failed
        ),
        (0, 1, 1)
    );
    Ok(())
}
