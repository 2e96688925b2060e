//! Under a router of axum, with layers of tower-http around and between.

#[cfg(feature = "axum-0-8")]
mod extractors;
mod nesting;
mod peers;
mod tower_http;

use ::axum::{Router, body::Body, response::Response, routing::post};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_qwen_tokens::Ledger;

use crate::support::{CHAT, layer, limiter};

/// What the handler's answers cost: 1,000 tokens in, 200 out.
pub(super) const WHOLE: &str = r#"{"choices":[{"message":{"content":"Hello, hello, hello!"}}],"usage":{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200}}"#;
pub(super) const EVENTS: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":200,\"total_tokens\":1200}}\n\n",
    "data: [DONE]\n\n",
);

pub(super) async fn whole() -> Response {
    answer("application/json", WHOLE)
}

pub(super) async fn stream() -> Response {
    answer("text/event-stream", EVENTS)
}

fn answer(kind: &str, body: &'static str) -> Response {
    Response::builder()
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap()
}

pub(super) fn call(path: &str) -> Request<Body> {
    let body = r#"{"model":"m","messages":[],"input":{"messages":[]},"prompt":"","max_tokens":900,"stream":true,"stream_options":{"include_usage":true}}"#;
    Request::post(path)
        .header("authorization", "Bearer sk-1")
        .header("accept-encoding", "gzip")
        .body(Body::from(body))
        .unwrap()
}

/// Sends a call and reads its answer to the end.
pub(super) async fn send(router: &Router, request: Request<Body>) -> (StatusCode, Vec<u8>) {
    let Ok(answer) = router.clone().oneshot(request).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, body.to_vec())
}

/// Calls, input and output of all that was booked.
pub(super) fn booked(ledger: &Ledger) -> (u64, u64, u64) {
    let total = ledger.snapshot().total;
    (total.calls, total.input_tokens, total.output_tokens)
}

#[tokio::test(start_paused = true)]
async fn an_axum_router_takes_the_layer_and_its_routes_share_the_accounts() {
    let limiter = limiter(2, 100_000);
    let router = Router::new()
        .route(CHAT, post(async || "ok"))
        .route("/v1/completions", post(async || "ok"))
        .layer(layer(&limiter));
    let mut statuses = Vec::new();
    for path in [CHAT, "/v1/completions", CHAT] {
        statuses.push(send(&router, call(path)).await.0);
    }
    let (ok, rejected) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [ok, ok, rejected]);
}
