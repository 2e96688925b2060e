//! The stack in front of the provider, which stands in the same process or behind a socket.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response};
use hyper_util::{client::legacy, rt::TokioExecutor};
use mock_qwen::MockQwen;
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer};

/// What lies between the stack and the provider.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    /// Nothing: its router is called, so that time may be paused.
    Router,
    Loopback,
}

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// The provider serves as long as one of its clients lives.
#[derive(Clone)]
pub(crate) struct Client {
    base: Arc<str>,
    stack: Stack,
    _serving: Option<Arc<Serving>>,
}

struct Serving(JoinHandle<std::io::Result<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    pub(crate) async fn connect(
        self,
        provider: &MockQwen,
        limiter: Limiter,
        ledger: &Ledger,
    ) -> Client {
        match self {
            Self::Router => {
                let router = provider.router();
                let transport = tower::service_fn(move |request: Request<Body>| {
                    let mut router = router.clone();
                    async move { router.call(request).await }
                });
                Client {
                    base: "http://mock".into(),
                    stack: stack(transport, limiter, ledger),
                    _serving: None,
                }
            }
            Self::Loopback => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let base = format!("http://{}", listener.local_addr().unwrap());
                let serving = tokio::spawn(mock_qwen::serve(listener, provider.clone()));
                let transport = legacy::Client::builder(TokioExecutor::new()).build_http();
                Client {
                    base: base.into(),
                    stack: stack(transport, limiter, ledger),
                    _serving: Some(Arc::new(Serving(serving))),
                }
            }
        }
    }
}

impl Client {
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn service(&self) -> Stack {
        self.stack.clone()
    }
}

fn stack<S, RB>(transport: S, limiter: Limiter, ledger: &Ledger) -> Stack
where
    S: Service<Request<Body>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + 'static,
    RB: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    RB::Error: Into<BoxError> + Send,
{
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter))
        .layer(MeterLayer::new(ledger.clone()))
        .service(transport);
    BoxCloneSyncService::new(stack.map_response(|response| response.map(Body::new)))
}
