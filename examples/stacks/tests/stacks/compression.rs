//! Compressed answers: the Meter has to stand where they are plain.

use axum::Router;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use mock_qwen::Config;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::{compression::CompressionLayer, decompression::DecompressionLayer};
use tower_qwen_ratelimit::{EnforceLayer, KeyOf};

use crate::support::{Place, TestResult, boxed, chat, for_axum, text};

/// A provider that compresses, unless asked not to.
fn compressing(place: &Place) -> Router {
    place.mock.router().layer(CompressionLayer::new())
}

#[tokio::test(start_paused = true)]
async fn a_client_decompresses_below_the_meter() -> TestResult {
    for stream in [false, true] {
        let place = Place::new(Config::default()).await?;
        let client = ServiceBuilder::new()
            .layer(place.retry())
            .layer(place.admission())
            .layer(place.meter())
            .layer(DecompressionLayer::new())
            .service(compressing(&place))
            .map_request(for_axum);
        let answer = boxed(client.oneshot(place.request(&chat(stream))).await?);
        assert!(text(answer).await?.contains("finish_reason"));
        place.assert_all_agree();
    }
    Ok(())
}

/// The other way round the Meter cannot read it, and estimates by its length.
#[tokio::test(start_paused = true)]
async fn decompression_above_the_meter_leaves_the_usage_estimated() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let client = ServiceBuilder::new()
        .layer(place.retry())
        .layer(DecompressionLayer::new())
        .layer(place.admission())
        .layer(place.meter())
        .service(compressing(&place))
        .map_request(for_axum);
    let answer = boxed(client.oneshot(place.request(&chat(false))).await?);
    assert!(text(answer).await?.contains("finish_reason"));
    let total = place.total();
    assert_eq!((total.calls, total.estimated, total.unknown), (1, 1, 0));
    assert_eq!(place.account().in_flight, 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_server_compresses_outside_of_the_meter_and_leaves_streams_alone() -> TestResult {
    for (stream, encoding) in [(false, Some("gzip")), (true, None)] {
        let place = Place::new(Config::default()).await?;
        let server = ServiceBuilder::new()
            .layer(CompressionLayer::new())
            .layer(place.meter())
            .service(place.mock.router())
            .map_request(for_axum);
        let mut request = place.request(&chat(stream));
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, "gzip".parse()?);
        let answer = boxed(server.oneshot(request).await?);
        let header = answer.headers().get(CONTENT_ENCODING);
        assert_eq!(header.map(|value| value.to_str()).transpose()?, encoding);
        http_body_util::BodyExt::collect(answer.into_body()).await?;
        assert_eq!(place.total().output_tokens, place.stats().tokens.output);
        assert_eq!(place.total().unknown, 0);
    }
    Ok(())
}

/// Enforce reads no answer: it is told what the Meter inside has read.
#[tokio::test(start_paused = true)]
async fn a_server_may_compress_between_enforce_and_the_meter() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let server = ServiceBuilder::new()
        .layer(EnforceLayer::new(place.limiter.clone(), KeyOf::api_key()))
        .layer(CompressionLayer::new())
        .layer(place.meter())
        .service(place.mock.router())
        .map_request(for_axum);
    let mut request = place.request(&chat(false));
    request
        .headers_mut()
        .insert(ACCEPT_ENCODING, "gzip".parse()?);
    let answer = boxed(server.oneshot(request).await?);
    assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
    http_body_util::BodyExt::collect(answer.into_body()).await?;
    place.assert_all_agree();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn compression_inside_of_the_meter_leaves_the_usage_estimated() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let server = place
        .meter()
        .layer(compressing(&place))
        .map_request(for_axum);
    let mut request = place.request(&chat(false));
    request
        .headers_mut()
        .insert(ACCEPT_ENCODING, "gzip".parse()?);
    let answer = boxed(server.oneshot(request).await?);
    http_body_util::BodyExt::collect(answer.into_body()).await?;
    assert_eq!((place.total().calls, place.total().estimated), (1, 1));
    Ok(())
}
