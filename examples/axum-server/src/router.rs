//! The paths, and the order of the layers.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::Request,
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::{any_service, get},
};
use http::HeaderName;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_http::{
    ServiceBuilderExt,
    compression::CompressionLayer,
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
    map_request_body::MapRequestBodyLayer,
    request_id::MakeRequestUuid,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_qwen_tokens::{Deadline, MeterLayer};
use tracing::{Level, Span, field, info_span};

use crate::{
    allow_list,
    auth::auth,
    errors::{error_format, method_not_allowed, word},
    forward::forward,
    gateway::Gateway,
    metrics, path, usage,
};

impl Gateway {
    /// The gateway as a service.
    ///
    /// ```text
    /// request id > trace > compression > words > auth > plain path > allow-list > decompression > body limit > deadline
    ///   > Enforce > own answers > Meter > forward
    /// ```
    pub fn router(self: &Arc<Self>) -> Router {
        let to_upstream = self.forward.clone();
        let forward = service_fn(move |request| forward(to_upstream.clone(), request));
        let own_answer = HandleErrorLayer::new(async |answer: Box<Response>| *answer);
        let forward = if self.args.bare {
            any_service(own_answer.layer(forward))
        } else {
            let deadline = self.args.deadline;
            any_service(
                ServiceBuilder::new()
                    .map_request(move |mut request: Request| {
                        request.extensions_mut().insert(Deadline::after(deadline));
                        request
                    })
                    .layer(self.enforce.clone())
                    .layer(own_answer)
                    .layer(MeterLayer::new(self.ledger.clone()))
                    .service(forward),
            )
        };
        let decode = !self.args.no_decompression;
        let calls = forward.layer(
            ServiceBuilder::new()
                .layer(from_fn(word))
                .layer(from_fn_with_state(self.callers.clone(), auth))
                .layer(from_fn(path::plain))
                .layer(from_fn(allow_list::check))
                .layer(
                    RequestDecompressionLayer::new()
                        .gzip(decode)
                        .zstd(decode)
                        .br(decode),
                )
                // Of what is decoded: a few bytes may hold a whole memory's worth.
                .layer(RequestBodyLimitLayer::new(self.args.max_body))
                .layer(MapRequestBodyLayer::new(Body::new)),
        );
        let reports = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/metrics", get(metrics::metrics))
            .route("/usage", get(usage::usage))
            .method_not_allowed_fallback(async |request: Request| {
                method_not_allowed(&error_format(&request))
            })
            .with_state(self.clone());
        reports
            // Every other path, so that without a key all of them are 401.
            .fallback_service(calls)
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
