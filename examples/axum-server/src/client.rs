//! The client's half: Retry > Admission > attempt > timeout > stall timeout > transport.
//!
//! It has no Meter of its own. The server's half has the one that books every *call* once, however many attempts it took;
//! what an attempt cost it tells Admission too.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use axum::body::{Body, Bytes};
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::{
    Service, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn, timeout::TimeoutLayer,
    util::BoxCloneSyncService,
};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter};
use tower_qwen_retry::{
    RetryLayer, RetryPolicy,
    observe::{RetryMetrics, RetryTracing},
};
use tower_qwen_tokens::{
    UsageSink, call::BoxError, meter::ResponseUsage, stall_timeout::StallTimeoutLayer,
};

use crate::{args::Args, errors::Failure};

/// How often the upstream was asked. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Attempts(Arc<AtomicU64>);

/// Whether any attempt of one call may have cost tokens at the upstream: none does that never reached it, or was refused by
/// it. Stands in the call's extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Spent(Arc<OnceLock<Option<Failure>>>);

/// A client of the upstream, whatever stands in it.
pub type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Connections to a real upstream, HTTP/1.1 throughout: one of HTTP/2 lets only so many calls run at once, and the rest
/// would queue unseen after they were admitted.
#[must_use]
pub fn transport() -> HyperClient<HttpsConnector<HttpConnector>, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector)
}

/// The transport alone.
pub fn bare<T, B>(transport: T) -> Client
where
    T: Service<
            Request<Body>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_err(Into::into)
            .map_response(|answer: Response<B>| answer.map(Body::new))
            .service(transport),
    )
}

/// The whole stack over a transport.
pub fn stack<T, B>(args: &Args, limiter: &Limiter, attempts: &Attempts, transport: T) -> Client
where
    T: Service<
            Request<Body>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    let attempts = attempts.clone();
    let policy = RetryPolicy::default()
        .observe(RetryMetrics::new())
        .observe(RetryTracing::new());
    BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|answer: Response<_>| answer.map(Body::new))
            .layer(RetryLayer::new(policy))
            .layer(AdmissionLayer::new(limiter.clone()).max_wait(args.max_wait))
            .layer(layer_fn(move |service| {
                let attempts = attempts.clone();
                service_fn(move |request| attempts.clone().send(Clone::clone(&service), request))
            }))
            .layer(TimeoutLayer::new(args.timeout))
            .layer(StallTimeoutLayer::new(args.stall))
            .service(transport),
    )
}

impl Attempts {
    /// How many there were so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sends an attempt, and hands Admission's wish to know its cost on to the Meter once it succeeds. What an error answer
    /// costs Admission finds by itself; where none comes nobody knows, and the estimate stands.
    async fn send<S, B>(
        self,
        service: S,
        mut request: Request<Body>,
    ) -> Result<Response<B>, BoxError>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        let sink = request.extensions_mut().remove::<UsageSink>();
        let usage = ResponseUsage::of(&request).cloned();
        let spent = request.extensions_mut().remove::<Spent>();
        let answer = service.oneshot(request).await.map_err(Into::into);
        if let Some(spent) = spent {
            spent.note(&answer);
        }
        let answer = answer?;
        if let (Some(sink), Some(usage)) = (sink, usage)
            && answer.status().is_success()
        {
            usage.report_to(sink);
        }
        Ok(answer)
    }
}

impl Spent {
    /// How the first such attempt failed: `Some(None)` where it was answered, `None` where there is none.
    #[must_use]
    pub fn first(&self) -> Option<Option<Failure>> {
        self.0.get().copied()
    }

    fn note<B>(&self, answer: &Result<Response<B>, BoxError>) {
        let failure = match answer {
            Ok(answer) if answer.status().is_client_error() => return,
            Ok(_) => None,
            Err(error) => Some(Failure::of(&**error)),
        };
        if failure.is_none_or(|failure| !failure.is_unsent()) {
            let _ = self.0.set(failure);
        }
    }
}
