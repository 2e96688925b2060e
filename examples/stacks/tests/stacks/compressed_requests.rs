//! Compressed requests: decoded outside of every layer that reads them, up to a cap on what they hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode, header::CONTENT_ENCODING};
use mock_qwen::Config;
use tokio::io::AsyncWriteExt;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{
    decompression::RequestDecompressionLayer, limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
};
use tower_qwen_ratelimit::{EnforceLayer, KeyOf};
use tower_qwen_tokens::call::BoxError;

use crate::support::{Place, TestResult, boxed, chat, text};

const CODINGS: [&str; 3] = ["gzip", "zstd", "br"];

async fn compressed(
    request: Request<Bytes>,
    coding: &'static str,
) -> Result<Request<Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    macro_rules! by {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(&body).await?;
            encoder.shutdown().await?;
            encoder.into_inner()
        }};
    }
    let body = match coding {
        "gzip" => by!(GzipEncoder),
        "zstd" => by!(ZstdEncoder),
        _ => by!(BrotliEncoder),
    };
    parts.headers.insert(CONTENT_ENCODING, coding.parse()?);
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// What the provider gets is plain.
fn assert_plain<B>(request: Request<B>) -> Request<B> {
    assert!(!request.headers().contains_key(CONTENT_ENCODING));
    request
}

/// On a server. The order is that of docs/stacks.md.
#[tokio::test(start_paused = true)]
async fn a_server_decodes_them_outside_of_enforce_up_to_a_cap() -> TestResult {
    const CAP: usize = 50_000;
    for coding in CODINGS {
        let place = Place::new(Config::default()).await?;
        let server = ServiceBuilder::new()
            .layer(RequestDecompressionLayer::new())
            // Below the decoding, so that it counts what comes out of it.
            .layer(RequestBodyLimitLayer::new(CAP))
            .layer(MapRequestBodyLayer::new(Body::new))
            .layer(EnforceLayer::new(place.limiter.clone(), KeyOf::api_key()))
            .layer(place.meter())
            .map_request(assert_plain)
            .service(place.mock.router());
        for stream in [false, true] {
            let request = compressed(place.request(&chat(stream)), coding).await?;
            let answer = boxed(server.clone().oneshot(request).await?);
            assert_eq!(answer.status(), StatusCode::OK, "{coding}");
            assert!(text(answer).await?.contains("finish_reason"));
        }
        place.assert_all_agree();

        let mut large = chat(false);
        large["messages"][0]["content"] = "x".repeat(CAP).into();
        let request = compressed(place.request(&large), coding).await?;
        let answer = boxed(server.oneshot(request).await?);
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{coding}");
        assert_eq!((place.stats().seen, place.total().calls), (2, 2));
    }
    Ok(())
}

/// In a client, in front of a provider that takes plain requests alone.
#[tokio::test(start_paused = true)]
async fn a_client_decodes_them_outside_of_retry() -> TestResult {
    for coding in CODINGS {
        let place = Place::new(Config::default()).await?;
        let client = ServiceBuilder::new()
            .layer(RequestDecompressionLayer::new())
            .layer(MapRequestBodyLayer::new(Body::new))
            .layer(place.stack())
            .map_request(assert_plain)
            .service(place.mock.router());
        let request = compressed(place.request(&chat(true)), coding).await?;
        let answer = boxed(client.oneshot(request).await?);
        assert!(text(answer).await?.contains("finish_reason"), "{coding}");
        place.assert_all_agree();
    }
    Ok(())
}

/// Without such a layer a compressed call passes untouched, and nobody reads it.
#[tokio::test(start_paused = true)]
async fn a_compressed_request_that_nobody_decodes_passes_unread() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let request = compressed(place.request(&chat(false)), "gzip").await?;
    let provider = tower::service_fn(|request: Request<Body>| async move {
        assert_eq!(request.headers()[CONTENT_ENCODING], "gzip");
        Ok::<_, BoxError>(http::Response::new(Body::from("{}")))
    });
    let client = ServiceBuilder::new().layer(place.stack()).service(provider);
    client.oneshot(request).await?;
    assert_eq!(place.total().calls, 1);
    Ok(())
}

/// The cap holds for a body in many pieces as well: it is read no further than that.
#[tokio::test(start_paused = true)]
async fn a_body_in_many_pieces_is_read_up_to_the_cap() -> TestResult {
    let place = Place::new(Config::default()).await?;
    let (parts, _) = place.request(&chat(false)).into_parts();
    // 64 times what the cap allows, in 64 kB.
    let blanks = Request::from_parts(parts, Bytes::from(vec![b' '; 64 << 20]));
    let (parts, body) = compressed(blanks, "gzip").await?.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await?;
    let pieces: Vec<Bytes> = body.chunks(512).map(Bytes::copy_from_slice).collect();
    let (all, taken) = (pieces.len(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    let pieces = futures_util::stream::iter(pieces.into_iter().map(move |piece| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(piece)
    }));
    let server = ServiceBuilder::new()
        .layer(RequestDecompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(1 << 20))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(EnforceLayer::new(place.limiter.clone(), KeyOf::api_key()))
        .layer(place.meter())
        .service(place.mock.router());
    let request = Request::from_parts(parts, Body::from_stream(pieces));
    let answer = boxed(server.oneshot(request).await?);
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken < all / 8, "{taken} of {all} pieces");
    Ok(())
}
