//! The request is charged before the body is read.

use std::{convert::Infallible, future::pending, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::{FutureExt, stream};
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_qwen_ratelimit::{
    EnforceLayer, Limiter, Quota, Reserve,
    enforce::{Rejection, RejectionKind, ResponseBody},
};
use tower_qwen_tokens::call::ReadOptions;

use crate::support::{CHAT, layer, limiter};

type Answer = Response<ResponseBody<Body>>;

fn request(body: impl Into<Body>) -> Request<Body> {
    Request::post(CHAT)
        .header("authorization", "Bearer sk-1")
        .body(body.into())
        .unwrap()
}

fn chat(max_tokens: u64) -> Request<Body> {
    let body = format!(r#"{{"model":"qwen-plus","messages":[],"max_tokens":{max_tokens}}}"#);
    request(body)
}

/// A body that never comes.
fn unfinished() -> Request<Body> {
    let frames = stream::once(pending::<Result<Bytes, Infallible>>());
    request(Body::from_stream(frames))
}

/// A body that does not say how long it is.
fn of_unknown_length(length: usize) -> Request<Body> {
    let bytes = Ok::<_, Infallible>(Bytes::from(vec![b' '; length]));
    request(Body::from_stream(stream::iter([bytes])))
}

async fn send(layer: &EnforceLayer, request: Request<Body>) -> Answer {
    let handler =
        service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("ok"))));
    let Ok(answer) = layer.layer(handler).oneshot(request).await;
    answer
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_costs_its_request() {
    let layer = layer(&limiter(3, 1_000_000))
        .charge_before_read()
        .read_options(ReadOptions::default().max_body(1_000));
    let broken = Body::from_stream(stream::iter([Err::<Bytes, _>("gone")]));
    for (unread, status) in [
        (request("{"), StatusCode::BAD_REQUEST),
        (request(broken), StatusCode::BAD_REQUEST),
        (of_unknown_length(2_000), StatusCode::PAYLOAD_TOO_LARGE),
        // Nothing is left for the fourth, whatever is in it.
        (of_unknown_length(2_000), StatusCode::TOO_MANY_REQUESTS),
        (chat(1), StatusCode::TOO_MANY_REQUESTS),
    ] {
        assert_eq!(send(&layer, unread).await.status(), status);
    }
    let counts = layer.counts();
    assert_eq!((counts.unread, counts.requests, counts.admitted), (3, 2, 0));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(send(&layer, chat(1)).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn no_more_bodies_are_under_way_than_requests_are_left() {
    let layer = layer(&limiter(2, 1_000_000)).charge_before_read();
    let mut first = Box::pin(send(&layer, unfinished()));
    let mut second = Box::pin(send(&layer, unfinished()));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    let third = send(&layer, unfinished()).now_or_never();
    let third = third.expect("rejected unread");
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(third.headers()["retry-after"], "30");
    assert_eq!(third.headers()["x-ratelimit-remaining-requests"], "0");
    let rejection = third.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Requests);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_its_request_takes_its_tokens_alone() {
    // With the ceiling of each answer: two of them are too much for one window.
    let quota = Quota::per_minute(2, 1_000).reserve(Reserve::Ceiling);
    let layer = layer(&Limiter::new(quota)).charge_before_read();
    let first = send(&layer, chat(800)).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(first.headers()["x-ratelimit-remaining-requests"], "1");
    let second = send(&layer, chat(800)).await;
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    let rejection = second.extensions().get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Tokens);
    // For the tokens, and for another request.
    let wait = rejection.wait().unwrap();
    assert!(wait >= Duration::from_secs(30), "{wait:?}");
    tokio::time::advance(wait).await;
    assert_eq!(send(&layer, chat(800)).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_rejects_nothing_unread() {
    let layer = layer(&limiter(1, 1_000_000)).charge_before_read().shadow();
    for _ in 0..3 {
        assert_eq!(send(&layer, chat(1)).await.status(), StatusCode::OK);
    }
    assert_eq!(layer.counts().requests, 2);
}
