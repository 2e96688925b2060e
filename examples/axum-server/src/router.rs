//! The paths, and the order of the layers.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    middleware::map_response,
    response::Response,
    routing::get,
};
use tower::{Layer, Service, ServiceBuilder, layer::layer_fn, service_fn};
use tower_http::{
    ServiceBuilderExt,
    compression::CompressionLayer,
    decompression::RequestDecompressionLayer,
    map_request_body::MapRequestBodyLayer,
    request_id::MakeRequestUuid,
    trace::{DefaultOnResponse, TraceLayer},
};
use tower_qwen_tokens::{Deadline, MeterLayer, call::BoxError};
use tracing::{Level, Span, field, info_span};

use crate::{
    admin,
    call_log::{CallLog, REQUEST_ID},
    checks::{self, Checks},
    cors,
    errors::{error_format, method_not_allowed},
    forward::forward,
    gateway::Gateway,
    log::shown_path,
    metrics,
    own_answers::OwnAnswers,
    page, readiness,
    serve::{Answers, of_anybody},
    shortcut::Shortcut,
    under_way::Watch,
    usage,
};

impl Gateway {
    /// The gateway as a service.
    ///
    /// ```text
    /// request id > trace > compression > CORS > call log > auth > plain path > allow-list > decompression > under way
    ///   > deadline > Enforce > models > own answers > Meter > forward
    /// ```
    pub fn router(self: &Arc<Self>) -> Answers {
        let gateway = self.clone();
        // In a box, so that the layers around it move a pointer and no kilobytes.
        let forward = service_fn(move |request| Box::pin(forward(gateway.clone(), request)));
        if self.args.bare {
            return self.answers(OwnAnswers::new(forward));
        }
        let (gateway, checked) = (self.clone(), self.clone());
        let metered = MeterLayer::new(self.ledger.clone()).layer(forward);
        self.answers(
            ServiceBuilder::new()
                .map_request(move |mut request: Request| {
                    let deadline = gateway.live().args.deadline;
                    request.extensions_mut().insert(Deadline::after(deadline));
                    request
                })
                .layer(self.enforce.clone())
                .layer(layer_fn(move |inner| {
                    Checks::new(checked.clone(), checks::read, inner)
                }))
                .service(OwnAnswers::new(metered)),
        )
    }

    /// The gateway before a service for calls.
    fn answers<S, B>(self: &Arc<Self>, service: S) -> Answers
    where
        S: Service<Request, Response = Response<B>, Error = Infallible, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let decode = !self.args.no_decompression;
        let (checked, under_way) = (self.clone(), self.under_way.clone());
        let logged = (!self.args.bare).then(|| self.clone());
        let calls = ServiceBuilder::new()
            .layer(layer_fn(move |inner| CallLog::new(logged.clone(), inner)))
            .layer(layer_fn(move |inner| {
                Checks::new(checked.clone(), checks::unread, inner)
            }))
            .layer(
                RequestDecompressionLayer::new()
                    .gzip(decode)
                    .zstd(decode)
                    .br(decode)
                    // Refused further in, where it costs its request.
                    .pass_through_unaccepted(true),
            )
            .layer(MapRequestBodyLayer::new(Body::new))
            // Of what is decoded: a few bytes may hold a whole memory's worth.
            .layer(layer_fn(move |inner| Watch::new(under_way.clone(), inner)))
            .service(service);
        let reports = Router::new()
            .route("/healthz", get(async || "ok"))
            .route("/readyz", get(readiness::readyz))
            .route("/metrics", get(metrics::metrics))
            .route("/usage", get(usage::usage))
            .method_not_allowed_fallback(async |request: Request| {
                method_not_allowed(&error_format(&request))
            })
            .layer(map_response(async |answer| of_anybody(answer)))
            .with_state(self.clone());
        let paths = reports
            // Every other path, so that without a key all of them are 401.
            .fallback_service(calls.clone());
        let admins = page::router(self)
            .with_state(self.clone())
            .nest("/admin", admin::router(self))
            .layer(map_response(async |answer| of_anybody(answer)));
        let cors = cors::layer(&self.args.cors_origins);
        let paths = match cors.clone() {
            // Pages of other origins may call; what is the admin's they may not even read.
            Some(layer) => admins.fallback_service(paths.layer(layer)),
            None => paths.merge(admins),
        };
        let calls = ServiceBuilder::new().option_layer(cors).service(calls);
        Answers::new(
            ServiceBuilder::new()
                .map_response(|answer: http::Response<_>| answer.map(Body::new))
                .map_request(without_long_id)
                .set_x_request_id(MakeRequestUuid)
                .layer(
                    TraceLayer::new_for_http()
                        .make_span_with(span)
                        // Calls have a line of their own, which says more.
                        .on_response(DefaultOnResponse::new().level(Level::DEBUG)),
                )
                .propagate_x_request_id()
                .layer(CompressionLayer::new())
                .service(Shortcut::new(calls, paths)),
        )
    }
}

/// A caller may give a request its id, which stands in the log, in the answer and in the request to the upstream.
fn without_long_id<B>(mut request: http::Request<B>) -> http::Request<B> {
    // Twice as long as what tools make: a stranger must not fill the log with them.
    const MAX_ID: usize = 128;
    let id = request.headers().get(REQUEST_ID);
    if id.is_some_and(|id| id.len() > MAX_ID) {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

/// Neither the query nor a header but the id: both may hold secrets.
fn span<B>(request: &http::Request<B>) -> Span {
    let id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    info_span!(
        "call",
        method = %request.method(),
        path = shown_path(request.uri().path()),
        id,
        tenant = field::Empty
    )
}
