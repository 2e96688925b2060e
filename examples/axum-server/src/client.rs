//! The client's half: Retry > Admission > attempt > stall timeout > transport.
//!
//! It has no Meter of its own. The server's half has the one that books every *call* once, however many attempts it took;
//! what an attempt cost it tells Admission too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, Bytes};
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, timeout_at};
use tower::{
    Service, ServiceBuilder, ServiceExt, layer::layer_fn, service_fn, util::BoxCloneSyncService,
};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter};
use tower_qwen_retry::{
    InvalidFallback, Pool, RetryBudget, RetryLayer, RetryPolicy,
    observe::{RetryMetrics, RetryTracing},
};
use tower_qwen_tokens::{
    Call, UsageSink,
    call::{BoxError, MaxWait},
    meter::ResponseUsage,
    stall_timeout::StallTimeoutLayer,
};

use crate::{
    args::Args,
    attempt::Spent,
    model_places::ModelPlaces,
    routes::Member,
    upstream::{Inbound, Upstream},
};

/// How often the upstream was asked. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Attempts(Arc<AtomicU64>);

/// A client of the upstream, whatever stands in it.
pub type Client = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// What is read of an upstream's answer in advance, and the longest head of an answer: hyper's least. An answer whose reader
/// takes nothing holds so much twice. hyper's own bound is 400 KiB, and its buffer grows that far where the upstream is faster
/// than the reader.
const MAX_BUFFER: usize = 8 << 10;

/// How long a connection may take; the system sends its first packet again after one and three seconds. A host that takes no
/// connections would hold each call for minutes, and the other upstreams would not be asked.
const CONNECT: Duration = Duration::from_secs(5);

/// Connections to a real upstream, HTTP/1.1 throughout: one of HTTP/2 lets only so many calls run at once, and the rest
/// would queue unseen after they were admitted.
#[must_use]
pub fn transport() -> HyperClient<HttpsConnector<HttpConnector>, Body> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(MAX_BUFFER)
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

/// What the stacks of all routes have in common.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The upstreams' quotas.
    pub limiter: Limiter,
    /// What all retries together may be.
    pub budget: RetryBudget,
    /// How often an upstream was asked.
    pub attempts: Attempts,
    /// Which models the figures show by their names.
    pub model_places: ModelPlaces,
}

/// The whole stack over a transport, for the upstreams of one route.
///
/// # Errors
///
/// When an upstream is no target of Retry, which [`Target`](crate::target::Target) does not let happen.
pub fn stack<T, B>(
    args: &Args,
    shared: &Shared,
    members: &[Member],
    transport: T,
) -> Result<Client, InvalidFallback>
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
    let attempts = shared.attempts.clone();
    let (timeout, max_wait) = (args.timeout, args.max_wait);
    let others = members.iter().skip(1).map(|member| member.upstream.clone());
    let others: Arc<[Arc<Upstream>]> = others.collect();
    let policy = policy(shared, members, max_wait)?;
    Ok(BoxCloneSyncService::new(
        ServiceBuilder::new()
            .map_response(|answer: Response<_>| answer.map(Body::new))
            .layer(RetryLayer::new(policy))
            .map_request(move |request| wait_less(request, max_wait))
            .layer(AdmissionLayer::new(shared.limiter.clone()).max_wait(max_wait))
            .layer(layer_fn(move |service| {
                let (attempts, others) = (attempts.clone(), others.clone());
                service_fn(move |request| {
                    let (attempts, others) = (attempts.clone(), others.clone());
                    attempts.send(others, Clone::clone(&service), request, timeout)
                })
            }))
            .layer(StallTimeoutLayer::new(args.stall))
            .service(transport),
    ))
}

/// Calls share the upstreams of a route, each going where it would wait for the shortest time; those that are fallbacks come
/// behind them.
fn policy(
    shared: &Shared,
    members: &[Member],
    max_wait: Duration,
) -> Result<RetryPolicy, InvalidFallback> {
    let policy = RetryPolicy::default()
        // Whatever a call waits for: it is answered in time.
        .patience(max_wait)
        .max_retry_after(max_wait)
        .budget(shared.budget.clone())
        .observe(RetryMetrics::new().only_models(shared.model_places.allowed()))
        .observe(RetryTracing::new());
    let mut others = members.iter().skip(1).peekable();
    let mut pool = Pool::new().predicted_by(shared.limiter.clone());
    let mut has_pool = false;
    // Fallbacks stand behind all others.
    while let Some(member) = others.next_if(|member| !member.upstream.is_fallback) {
        pool = pool.target(
            member
                .upstream
                .fallback(member.model.as_deref(), max_wait)?,
        );
        has_pool = true;
    }
    let policy = if has_pool { policy.pool(pool) } else { policy };
    others.try_fold(policy, |policy, member| {
        let fallback = member
            .upstream
            .fallback(member.model.as_deref(), max_wait)?;
        Ok(policy.fallback(fallback))
    })
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
        others: Arc<[Arc<Upstream>]>,
        service: S,
        mut request: Request<Body>,
        timeout: Duration,
    ) -> Result<Response<B>, BoxError>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    {
        self.0.fetch_add(1, Ordering::Relaxed);
        if let Some(other) = others.iter().find(|other| other.is_of(&request))
            && let Some(Inbound(inbound)) = request.extensions().get().cloned()
        {
            other.readdress(&mut request, &inbound)?;
        }
        let sink = request.extensions_mut().remove::<UsageSink>();
        let usage = ResponseUsage::of(&request).cloned();
        let spent = request.extensions_mut().remove::<Spent>();
        let spent = spent.unwrap_or_default();
        // The last attempt is cut at the call's deadline.
        let end = Instant::now().checked_add(timeout);
        let deadline = Call::of(&request).and_then(|call| call.deadline());
        let end = match (end, deadline.map(|deadline| deadline.instant())) {
            (Some(end), Some(deadline)) => Some(end.min(deadline)),
            (end, deadline) => end.or(deadline),
        };
        let call = Call::of(&request).cloned();
        let report = call.as_deref().map(Call::report);
        let under_way = spent.begin(request.body_mut(), report);
        let answer = service.oneshot(request);
        let answer = match end {
            Some(end) => timeout_at(end, answer).await,
            None => Ok(answer.await),
        };
        let answer = match answer {
            Ok(answer) => {
                let answer = answer.map_err(Into::into);
                under_way.end(&answer);
                answer
            }
            Err(_) => under_way.time_out(),
        };
        let answer = answer?;
        if let (Some(sink), Some(usage)) = (sink, usage)
            && answer.status().is_success()
        {
            usage.report_to(sink);
        }
        Ok(answer)
    }
}

/// A further attempt waits for what is left of the call's longest wait.
fn wait_less<B>(mut request: Request<B>, longest: Duration) -> Request<B> {
    let report = Call::of(&request).map(|call| call.report());
    let waited = report.map(|report| report.queued() + report.retry_wait());
    if let Some(waited) = waited.filter(|waited| !waited.is_zero()) {
        let left = longest.saturating_sub(waited);
        request.extensions_mut().insert(MaxWait(left));
    }
    request
}
