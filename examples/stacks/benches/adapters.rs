//! What the adapters cost a call, against the same call without them. Nothing goes over a network: what stands at the
//! bottom answers at once. The time is the processor's, so that it is the same on a busy machine. Linux only.
//!
//! `cargo bench -p stacks --bench adapters`

use std::{
    fs,
    future::{Ready, ready},
    time::Duration,
};

use bytes::Bytes;
use criterion::{Bencher, Criterion, SamplingMode, criterion_group, criterion_main};
use http::Extensions;
use http_body_util::BodyExt;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tokio::runtime::Runtime;
use tower::{Service, layer::util::Identity, service_fn};
use tower_qwen_tokens::adapter::{
    reqwest_0_13::{ReqwestFront, ReqwestTransport},
    reqwest_middleware_0_5::TowerMiddleware,
};

const URL: &str = "http://127.0.0.1:8080/compatible-mode/v1/chat/completions";
const BODY: &str = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;

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

fn answer() -> Response {
    http::Response::new(BODY).into()
}

/// How long this thread has run, to a few milliseconds.
fn processor() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = stat.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

fn measure<Fut>(bencher: &mut Bencher<'_>, mut call: impl FnMut() -> Fut)
where
    Fut: Future<Output = Bytes>,
{
    let runtime = runtime();
    bencher.iter_custom(|times| {
        let begun = processor();
        for _ in 0..times {
            assert_eq!(runtime.block_on(call()), BODY);
        }
        processor() - begun
    });
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

fn adapters(criterion: &mut Criterion) {
    let client = reqwest::Client::new();
    let request = || client.post(URL).body(BODY).build().expect("a request");

    let mut group = criterion.benchmark_group("reqwest-middleware");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    let execute = |client: &ClientWithMiddleware| {
        let calling = client.clone();
        let request = request();
        async move {
            let answer = calling.execute(request).await.expect("an answer");
            answer.bytes().await.expect("a body")
        }
    };
    let bare = ClientBuilder::new(client.clone()).with(Canned).build();
    let adapted = ClientBuilder::new(client.clone())
        .with(TowerMiddleware::new(Identity::new()))
        .with(Canned)
        .build();
    group.bench_function("bare", |bencher| measure(bencher, || execute(&bare)));
    group.bench_function("through TowerMiddleware", |bencher| {
        measure(bencher, || execute(&adapted));
    });
    group.finish();

    let mut group = criterion.benchmark_group("reqwest");
    group.sampling_mode(SamplingMode::Flat).sample_size(20);
    group.bench_function("bare", |bencher| {
        let mut service = service_fn(canned);
        measure(bencher, || {
            let calling = service.call(request());
            async {
                calling
                    .await
                    .expect("an answer")
                    .bytes()
                    .await
                    .expect("a body")
            }
        });
    });
    group.bench_function("through ReqwestTransport", |bencher| {
        let mut service = ReqwestTransport::new(service_fn(canned));
        measure(bencher, || {
            let request = http::Request::post(URL).body(BODY.into());
            let calling = service.call(request.expect("a request"));
            async {
                calling
                    .await
                    .expect("an answer")
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes()
            }
        });
    });
    group.bench_function("through ReqwestFront and ReqwestTransport", |bencher| {
        let mut service = ReqwestFront::new(ReqwestTransport::new(service_fn(canned)));
        measure(bencher, || {
            let calling = service.call(request());
            async {
                calling
                    .await
                    .expect("an answer")
                    .bytes()
                    .await
                    .expect("a body")
            }
        });
    });
    group.finish();
}

criterion_group!(benches, adapters);
criterion_main!(benches);
