//! What the layer costs where nothing goes wrong: the first attempt is served, the call was read
//! before.
//!
//! The peer is tower's own `Retry` with a policy that clones the same request. Both pay for a clone
//! of the head; what is beyond that is classifying, budget, marker and the `CallReport` in the
//! answer.
//!
//! On a busy machine the medians of groups that run one after the other say little of their
//! difference. So they also take turns, in rounds of 64 calls, and the fastest and the middle round
//! of each are printed.

use std::{
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use tower::{Layer, Service, retry};
use tower_qwen_retry::{BoxError, RetryEvent, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    call::{ReadCall, ReadOptions},
    internal::clock::now,
};

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

/// Answers at once, by a stream of which one event is there.
#[derive(Debug, Clone)]
struct Streams;

const EVENT: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1795392000,\"model\":\"qwen-plus\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":null}],\"usage\":null}\n\n";

impl Service<Request<Body>> for Streams {
    type Response = Answer;
    type Error = BoxError;
    type Future = Ready<Result<Answer, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(black_box(request));
        let mut answer = Response::new(Body::from(EVENT));
        let events = HeaderValue::from_static("text/event-stream");
        answer.headers_mut().insert(CONTENT_TYPE, events);
        ready(Ok(answer))
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
    let observed = RetryPolicy::default().observe(|event: &RetryEvent<'_>| {
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

/// All of them, one round each at a time.
fn interleaved(_: &mut Criterion) {
    const ROUNDS: usize = 5_000;
    const CALLS: usize = 64;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let tower = retry::RetryLayer::new(Clones);
    let ours = RetryLayer::new(RetryPolicy::default());
    let (whole, stream) = (request(WHOLE), request(STREAM));
    type Peer<'a> = (
        &'a str,
        &'a Request<Body>,
        &'a dyn Fn(Request<Body>) -> bool,
    );
    let peers: [Peer<'_>; 6] = [
        ("bare", &whole, &|request| one_call(Inner, request).is_ok()),
        ("tower", &whole, &|request| {
            one_call(tower.layer(Inner), request).is_ok()
        }),
        ("ours", &whole, &|request| {
            one_call(ours.layer(Inner), request).is_ok()
        }),
        ("ours, a stream is asked for", &stream, &|request| {
            one_call(ours.layer(Inner), request).is_ok()
        }),
        ("tower, a stream comes", &stream, &|request| {
            one_call(tower.layer(Streams), request).is_ok()
        }),
        ("ours, a stream comes", &stream, &|request| {
            one_call(ours.layer(Streams), request).is_ok()
        }),
    ];
    let mut rounds = peers.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((_, request, call), rounds) in peers.iter().zip(&mut rounds) {
            let requests: Vec<_> = (0..CALLS).map(|_| (*request).clone()).collect();
            let start = now();
            let served = requests.into_iter().map(call).filter(|ok| *ok).count();
            rounds.push((now() - start).as_secs_f64() * 1e9 / CALLS as f64);
            assert_eq!(served, CALLS);
        }
    }
    for ((name, ..), rounds) in peers.iter().zip(&mut rounds) {
        rounds.sort_by(f64::total_cmp);
        let (fastest, middle) = (rounds[0], rounds[ROUNDS / 2]);
        println!("in turns, {name}: fastest {fastest:.0} ns, middle {middle:.0} ns a call");
    }
}

criterion_group!(benches, overhead, interleaved);
criterion_main!(benches);
