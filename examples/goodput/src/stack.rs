//! Our client: Retry > Admission > Meter > provider.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook};

/// A client, as callers use it.
pub type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Body>, BoxError>;

/// The whole stack over a transport. The same seed gives the same waits before retries.
pub fn stack<S, B>(transport: S, limiter: Limiter, seed: u64) -> Client
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + 'static,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default().seed(seed)))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(Ledger::new(PriceBook::builtin())))
        .service(transport);
    BoxCloneSyncService::new(stack.map_response(|response| response.map(Body::new)))
}
