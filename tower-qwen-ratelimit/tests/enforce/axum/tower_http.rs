use std::{future::pending, time::Duration};

use ::axum::{
    Router,
    body::Body,
    response::Response,
    routing::{MethodRouter, post},
};
use ::tower_http::{
    compression::CompressionLayer, limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use http::{Request, StatusCode};
use tower::ServiceBuilder;
use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter};
use tower_qwen_tokens::{Ledger, MeterLayer, call::ReadOptions};

use super::{EVENTS, booked, call, send, stream, whole};
use crate::support::{CHAT, account, limiter};

/// The layers of a server, and what they count into.
struct Server {
    limiter: Limiter,
    ledger: Ledger,
}

impl Server {
    fn new() -> Self {
        Self {
            limiter: limiter(100, 100_000),
            ledger: Ledger::default(),
        }
    }

    fn enforce(&self) -> EnforceLayer {
        EnforceLayer::new(self.limiter.clone(), KeyOf::api_key())
    }

    fn meter(&self) -> MeterLayer {
        MeterLayer::new(self.ledger.clone())
    }

    fn used(&self) -> u64 {
        account(&self.limiter).tokens.used
    }
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(5))
}

fn router(handler: MethodRouter) -> Router {
    Router::new().route(CHAT, handler)
}

/// An answer that never begins.
async fn never() -> Response {
    pending().await
}

#[tokio::test(start_paused = true)]
async fn the_recommended_order() {
    let server = Server::new();
    let layers = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .layer(timeout())
        .layer(RequestBodyLimitLayer::new(1_000))
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(server.enforce())
        .layer(server.meter());
    let (status, body) = send(&router(post(whole)).layer(layers.clone()), call(CHAT)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(&body[..2], b"\x1f\x8b", "the whole answer is compressed");
    assert_eq!(booked(&server.ledger), (1, 1_000, 200));

    let (_, body) = send(&router(post(stream)).layer(layers.clone()), call(CHAT)).await;
    assert_eq!(body, EVENTS.as_bytes(), "a stream of events is not");
    assert_eq!(booked(&server.ledger), (2, 2_000, 400));
    assert_eq!(server.used(), 2_400);

    let too_long = Request::post(CHAT)
        .header("content-length", "1001")
        .body(Body::from(vec![b' '; 1_001]))
        .unwrap();
    let (status, _) = send(&router(post(whole)).layer(layers), too_long).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(account(&server.limiter).requests.used, 2, "and not charged");
}

/// Of a body of unknown length, whoever reads it finds out.
#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_that_grows_too_long() {
    let server = Server::new();
    let ours = server
        .enforce()
        .read_options(ReadOptions::default().max_body(1_000));
    let theirs = RequestBodyLimitLayer::new(1_000);
    let within = ServiceBuilder::new()
        .layer(theirs)
        .layer(MapRequestBodyLayer::new(Body::new))
        .layer(server.enforce());
    for app in [
        router(post(whole)).layer(ours),
        router(post(whole)).layer(server.enforce()).layer(theirs),
        router(post(whole)).layer(within),
    ] {
        let (status, body) = send(&app, chunked(Ok("x".repeat(600)))).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(String::from_utf8_lossy(&body).contains("request_too_large"));

        let (status, body) = send(&app, chunked(Err("broken"))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(String::from_utf8_lossy(&body).contains("invalid_parameter_error"));
    }
    assert!(server.limiter.snapshot().is_empty(), "nothing was charged");
}

/// A chat call of two chunks of unknown length.
fn chunked(second: Result<String, &'static str>) -> Request<Body> {
    let chunks = [Ok("x".repeat(600)), second];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    Request::post(CHAT).body(body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn layers_of_tower_http_may_stand_between() {
    let server = Server::new();
    let app = router(post(stream))
        .layer(timeout())
        .layer(server.meter())
        .layer(TraceLayer::new_for_http())
        .layer(timeout())
        .layer(server.enforce())
        .layer(RequestBodyLimitLayer::new(1_000));
    assert_eq!(send(&app, call(CHAT)).await.0, StatusCode::OK);
    assert_eq!(booked(&server.ledger), (1, 1_000, 200));
    assert_eq!(server.used(), 1_200);
}

/// Wherever the timeout stands, the call is booked once. What it is charged depends on whether Enforce sees the answer.
#[tokio::test(start_paused = true)]
async fn a_timeout_anywhere_is_booked_once() {
    type Make = fn(&Server) -> Router;
    let rows: [(&str, Make, bool); 3] = [
        (
            "outermost",
            |server| {
                let app = router(post(never)).layer(server.meter());
                app.layer(server.enforce()).layer(timeout())
            },
            false,
        ),
        (
            "between",
            |server| {
                let app = router(post(never)).layer(server.meter());
                app.layer(timeout()).layer(server.enforce())
            },
            true,
        ),
        (
            "innermost",
            |server| {
                let app = router(post(never)).layer(timeout());
                app.layer(server.meter()).layer(server.enforce())
            },
            true,
        ),
    ];
    for (name, make, answer_comes_back) in rows {
        let server = Server::new();
        let (status, _) = send(&make(&server), call(CHAT)).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{name}");
        let total = server.ledger.snapshot().total;
        assert_eq!(
            (total.calls, total.failed + total.cancelled),
            (1, 1),
            "{name}"
        );
        let prompt_alone = server.used() < 100;
        assert_eq!(
            prompt_alone, answer_comes_back,
            "{name}: 900 for the answer"
        );
        assert_eq!(account(&server.limiter).in_flight, 0, "{name}");
    }
}

/// Documented: a Meter outside of Compression finds nothing to read, and estimates by the length.
#[tokio::test(start_paused = true)]
async fn compression_inside_of_the_meter_hides_the_usage() {
    let server = Server::new();
    let app = router(post(whole))
        .layer(CompressionLayer::new())
        .layer(server.meter())
        .layer(server.enforce());
    assert_eq!(send(&app, call(CHAT)).await.0, StatusCode::OK);
    let total = server.ledger.snapshot().total;
    assert_eq!((total.calls, total.estimated, total.unknown), (1, 1, 0));
}
