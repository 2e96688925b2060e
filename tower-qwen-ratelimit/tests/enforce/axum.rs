use ::axum::{Router, body::Body, routing::post};
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::support::{CHAT, layer, limiter};

#[tokio::test(start_paused = true)]
async fn an_axum_router_takes_the_layer_and_its_routes_share_the_accounts() {
    let limiter = limiter(2, 100_000);
    let router = Router::new()
        .route(CHAT, post(async || "ok"))
        .route("/v1/completions", post(async || "ok"))
        .layer(layer(&limiter));
    let mut statuses = Vec::new();
    for path in [CHAT, "/v1/completions", CHAT] {
        let request = Request::post(path)
            .header("authorization", "Bearer sk-1")
            .body(Body::from(
                r#"{"model":"m","messages":[],"prompt":"","max_tokens":1}"#,
            ))
            .unwrap();
        let Ok(answer) = router.clone().oneshot(request).await;
        statuses.push(answer.status());
    }
    let (ok, refused) = (StatusCode::OK, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(statuses, [ok, ok, refused]);
}
