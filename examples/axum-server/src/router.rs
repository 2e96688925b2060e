//! The paths, and the order of the layers.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get},
};
use http::HeaderName;
use tower::ServiceBuilder;
use tower_http::{
    ServiceBuilderExt,
    compression::CompressionLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    request_id::MakeRequestUuid,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_qwen_tokens::{Deadline, MeterLayer};
use tracing::{Level, Span, field, info_span};

use crate::{
    auth::auth,
    errors::{not_found, word},
    forward::forward,
    gateway::Gateway,
    metrics, path, usage,
};

impl Gateway {
    /// The gateway as a service.
    ///
    /// ```text
    /// request id > trace > compression > words > auth > plain path > body limit > deadline > Enforce > Meter > forward
    /// ```
    pub fn router(self: &Arc<Self>) -> Router {
        let calls = Router::new()
            .route("/compatible-mode/v1/{*path}", any(forward))
            .route("/v1/{*path}", any(forward))
            .route("/api/v1/{*path}", any(forward))
            .route("/apps/anthropic/{*path}", any(forward))
            .with_state(self.forward.clone());
        let calls = if self.args.bare {
            calls
        } else {
            let deadline = self.args.deadline;
            calls.layer(
                ServiceBuilder::new()
                    .map_request(move |mut request: Request| {
                        request.extensions_mut().insert(Deadline::after(deadline));
                        request
                    })
                    .layer(self.enforce.clone())
                    .layer(MeterLayer::new(self.ledger.clone())),
            )
        };
        let calls = calls.layer(
            ServiceBuilder::new()
                .layer(from_fn(word))
                .layer(from_fn_with_state(self.callers.clone(), auth))
                .layer(from_fn(path::plain))
                .layer(RequestBodyLimitLayer::new(self.args.max_body))
                .layer(MapRequestBodyLayer::new(Body::new)),
        );
        let reports = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/metrics", get(metrics::metrics))
            .route("/usage", get(usage::usage))
            .with_state(self.clone());
        calls
            .merge(reports)
            .fallback(not_found)
            .method_not_allowed_fallback(not_found)
            .layer(
                ServiceBuilder::new()
                    .set_x_request_id(MakeRequestUuid)
                    .layer(
                        TraceLayer::new_for_http()
                            .make_span_with(span)
                            .on_response(DefaultOnResponse::new().level(Level::INFO)),
                    )
                    .propagate_x_request_id()
                    .layer(CompressionLayer::new()),
            )
    }
}

/// Neither the query nor a header but the id: both may hold secrets.
fn span<B>(request: &http::Request<B>) -> Span {
    const ID: HeaderName = HeaderName::from_static("x-request-id");
    let id = request.headers().get(ID).and_then(|id| id.to_str().ok());
    info_span!(
        "call",
        method = %request.method(),
        path = request.uri().path(),
        id,
        tenant = field::Empty
    )
}
