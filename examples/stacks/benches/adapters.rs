//! What the adapters cost a call, against the same call without them. Nothing goes over a network: what stands at the
//! bottom answers at once.
//!
//! `cargo bench -p stacks --bench adapters`

use std::future::{Ready, ready};

use criterion::{Criterion, criterion_group, criterion_main};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tower::{Service, layer::util::Identity, service_fn};
use tower_qwen_tokens::adapter::{
    reqwest_0_13::{ReqwestFront, ReqwestTransport},
    reqwest_middleware_0_5::TowerMiddleware,
};

const URL: &str = "http://127.0.0.1:8080/compatible-mode/v1/chat/completions";
const BODY: &str = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;

fn answer() -> Response {
    http::Response::new(BODY).into()
}

/// A middleware at the bottom, in place of the network.
struct Canned;

#[async_trait::async_trait]
impl Middleware for Canned {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        Ok(answer())
    }
}

fn canned(_: Request) -> Ready<reqwest::Result<Response>> {
    ready(Ok(answer()))
}

fn adapters(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let client = reqwest::Client::new();
    let request = || client.post(URL).body(BODY).build().expect("a request");

    let mut group = criterion.benchmark_group("reqwest-middleware");
    for (name, with) in [("bare", false), ("in TowerMiddleware", true)] {
        let builder = ClientBuilder::new(client.clone());
        let builder = match with {
            true => builder.with(TowerMiddleware::new(Identity::new())),
            false => builder,
        };
        let client = builder.with(Canned).build();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let answer = client.execute(request()).await.expect("an answer");
                    answer.bytes().await.expect("a body")
                })
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("reqwest");
    group.bench_function("bare", |bencher| {
        let mut service = service_fn(canned);
        bencher.iter(|| {
            runtime.block_on(async {
                let answer = service.call(request()).await.expect("an answer");
                answer.bytes().await.expect("a body")
            })
        });
    });
    group.bench_function("under ReqwestTransport", |bencher| {
        let mut service = ReqwestTransport::new(service_fn(canned));
        bencher.iter(|| {
            runtime.block_on(async {
                let request = http::Request::post(URL)
                    .body(BODY.into())
                    .expect("a request");
                let answer = service.call(request).await.expect("an answer");
                http_body_util::BodyExt::collect(answer)
                    .await
                    .expect("a body")
                    .to_bytes()
            })
        });
    });
    group.bench_function("between ReqwestFront and ReqwestTransport", |bencher| {
        let mut service = ReqwestFront::new(ReqwestTransport::new(service_fn(canned)));
        bencher.iter(|| {
            runtime.block_on(async {
                let answer = service.call(request()).await.expect("an answer");
                answer.bytes().await.expect("a body")
            })
        });
    });
    group.finish();
}

criterion_group!(benches, adapters);
criterion_main!(benches);
