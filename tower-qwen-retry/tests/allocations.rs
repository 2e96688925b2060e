//! What the layer allocates where nothing goes wrong, beyond the clone of the request that every retrier needs.

use std::{
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_qwen_retry::{BoxError, Fallback, RetryLayer, RetryPolicy};
use tower_qwen_tokens::call::{ReadCall, ReadOptions};

type Body = Full<Bytes>;

/// The map of the answer's extensions and its table, and the box in which they keep the [`CallReport`](tower_qwen_tokens::CallReport).
const OF_THE_ANSWER: u64 = 3;
/// The box in which a request's extensions keep the options of a stream's classification, twice: in the clone and in what is
/// sent.
const OF_A_STREAM: u64 = 2;

/// Answers at once.
#[derive(Debug, Clone)]
struct Inner;

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(Body::default())))
    }
}

fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("ready at once"),
    }
}

fn read(body: &'static str) -> Request<Body> {
    let request = Request::post("https://host/compatible-mode/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer sk-1")
        .body(Body::from(body))
        .expect("a request");
    poll_once(ReadCall::new(request, &ReadOptions::default())).expect("a readable call")
}

/// Allocations of a call through the layer beyond those of a bare one and a clone of its request.
fn beyond_a_clone(policy: RetryPolicy, body: &'static str) -> u64 {
    let request = read(body);
    let layer = RetryLayer::new(policy);
    let mut service = layer.layer(Inner);
    let mut through = || measure(|| drop(poll_once(service.call(request.clone()))));
    // Bytes that are cloned for the first time are shared from then on.
    through();
    let all = through();
    assert_eq!(all.count_current, 0, "nothing is kept: {all:?}");
    all.count_total - 2 * measure(|| drop(request.clone())).count_total
}

#[tokio::test]
async fn the_layer_allocates_what_is_stated() {
    let whole = r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#;
    let stream = r#"{"model":"qwen-plus","messages":[],"stream":true}"#;
    let plain = RetryPolicy::default;
    assert_eq!(beyond_a_clone(plain(), whole), OF_THE_ANSWER);
    assert_eq!(beyond_a_clone(plain(), stream), OF_THE_ANSWER + OF_A_STREAM);
    // Other targets cost nothing while all is well.
    let second = Fallback::new("second").key("sk-2").expect("a key");
    let two = plain().fallback(second);
    assert_eq!(beyond_a_clone(two, whole), OF_THE_ANSWER);
}
