//! What the layer costs where nothing goes wrong: the first attempt is served, the call was read before.
//!
//! The peer is tower's own `Retry` with a policy that clones the same request. Both pay for a clone of the head; what is
//! beyond that is reading, judging, budget, and the `Attempts` in the answer.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, retry};
use tower_qwen_retry::{BoxError, Event, RetryLayer, RetryPolicy};
use tower_qwen_tokens::call::{ReadCall, ReadOptions};

type Body = Full<Bytes>;
type Answer = Response<Body>;

/// Answers at once.
#[derive(Debug, Clone)]
struct Inner;

impl Service<Request<Body>> for Inner {
    type Response = Answer;
    type Error = BoxError;
    type Future = Ready<Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(black_box(request));
        ready(Ok(Response::new(Body::default())))
    }
}

/// Clones the request and retries errors.
#[derive(Debug, Clone)]
struct Clones;

impl retry::Policy<Request<Body>, Answer, BoxError> for Clones {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Answer, BoxError>,
    ) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("ready at once"),
    }
}

fn request(prompt: &str) -> Request<Body> {
    let request =
        Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
            .header("content-type", "application/json")
            .header("authorization", "Bearer sk-0123456789abcdef")
            .header("user-agent", "bench")
            .body(Body::from(prompt.to_owned()))
            .expect("a request");
    poll_once(ReadCall::new(request, &ReadOptions::default())).expect("a readable call")
}

const WHOLE: &str = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;
const STREAM: &str =
    r#"{"model":"qwen-plus","stream":true,"messages":[{"role":"user","content":"Hello!"}]}"#;

fn one_call<S>(mut service: S, request: Request<Body>) -> Result<S::Response, S::Error>
where
    S: Service<Request<Body>>,
{
    poll_once(service.call(request))
}

fn overhead(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("retry");
    let mut bench = |name: &str, prompt: &str, call: &mut dyn FnMut(Request<Body>)| {
        let request = request(prompt);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| request.clone(), &mut *call, BatchSize::SmallInput);
        });
    };
    let tower = retry::RetryLayer::new(Clones);
    let ours = RetryLayer::new(RetryPolicy::default());
    let observed = RetryPolicy::default().observe(|event: &Event<'_>| {
        black_box(event);
    });
    let observed = RetryLayer::new(observed);
    bench("bare", WHOLE, &mut |request| {
        black_box(one_call(Inner, request)).expect("an answer");
    });
    bench("tower", WHOLE, &mut |request| {
        black_box(one_call(tower.layer(Inner), request)).expect("an answer");
    });
    bench("ours", WHOLE, &mut |request| {
        black_box(one_call(ours.layer(Inner), request)).expect("an answer");
    });
    bench("ours, a stream is asked for", STREAM, &mut |request| {
        black_box(one_call(ours.layer(Inner), request)).expect("an answer");
    });
    bench("ours, observed", WHOLE, &mut |request| {
        black_box(one_call(observed.layer(Inner), request)).expect("an answer");
    });
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
