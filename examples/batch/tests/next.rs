//! The same stack around reqwest-middleware's `Next<'_>`, which borrows: no layer may ask for `'static`.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::Extensions;
use mock_qwen::{Config, MockQwen};
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt,
    layer::util::{Identity, Stack},
};
use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook};

type HttpRequest = http::Request<reqwest::Body>;
type HttpResponse = http::Response<reqwest::Body>;

/// What is left of the middleware chain, as a service for one request.
#[derive(Clone)]
struct NextService<'a> {
    next: Next<'a>,
    extensions: Arc<Mutex<Extensions>>,
}

impl<'a> Service<HttpRequest> for NextService<'a> {
    type Response = HttpResponse;
    type Error = reqwest_middleware::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Self::Error>> + Send + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let Self { next, extensions } = self.clone();
        Box::pin(async move {
            let mut own = extensions.lock().unwrap().clone();
            let request = Request::try_from(request)?;
            let response = next.run(request, &mut own).await?;
            extensions.lock().unwrap().extend(own);
            Ok(response.into())
        })
    }
}

type OurStack = Stack<MeterLayer, Stack<AdmissionLayer, Stack<RetryLayer, Identity>>>;

struct TowerMiddleware(OurStack);

#[async_trait::async_trait]
impl Middleware for TowerMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let shared = Arc::new(Mutex::new(std::mem::take(extensions)));
        let service = self.0.layer(NextService {
            next,
            extensions: shared.clone(),
        });
        let request = HttpRequest::try_from(request)?;
        let answered = service.oneshot(request).await;
        *extensions = std::mem::take(&mut *shared.lock().unwrap());
        match answered {
            Ok(response) => Ok(response.map(reqwest::Body::wrap).into()),
            Err(error) => Err(reqwest_middleware::Error::Middleware(anyhow::anyhow!(
                error
            ))),
        }
    }
}

#[tokio::test]
async fn the_stack_runs_through_a_borrowed_next() {
    let provider = MockQwen::new(Config::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(mock_qwen::serve(listener, provider.clone()));

    let ledger = Ledger::new(PriceBook::builtin());
    let limiter = Limiter::new(Quota::qwen2());
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AdmissionLayer::new(limiter.clone()))
        .layer(MeterLayer::new(ledger.clone()))
        .into_inner();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TowerMiddleware(stack))
        .build();

    for stream in [
        "",
        r#","stream":true,"stream_options":{"include_usage":true}"#,
    ] {
        let body = format!(
            r#"{{"model":"qwen-plus","messages":[{{"role":"user","content":"Hello!"}}],"max_tokens":50{stream}}}"#
        );
        let answer = client
            .post(format!(
                "http://{address}/compatible-mode/v1/chat/completions"
            ))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().contains("chatcmpl-"));
    }

    let stats = provider.stats();
    assert_eq!(
        (stats.seen, stats.completed, stats.throttled.total()),
        (2, 2, 0)
    );
    let total = ledger.snapshot().total;
    assert_eq!(total.input_tokens + total.output_tokens, stats.tokens.total);
    let account = limiter.snapshot().remove(0);
    assert_eq!(account.settled_tokens, stats.tokens.total);
    assert_eq!((account.in_flight, account.reserved_tokens), (0, 0));
    serving.abort();
}
