//! What each attempt sends.

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use futures::stream;
use http::{Method, Request, Version};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use support::{Answer, PROMPT, RequestBody, broken, bytes, ms, ok, request, run, throttled};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_qwen_retry::{BoxError, RetryLayer, RetryPolicy};
use tower_qwen_tokens::{
    OnUsage, Report, UsageSink,
    call::{Call, ReadCall, ReadError, ReadOptions},
};

#[derive(Debug, Clone, PartialEq)]
struct Mark(&'static str);

struct Deaf;

impl OnUsage for Deaf {
    fn on_usage(&self, _: &Report) {}
}

/// A request that was read by a layer further out.
async fn read(request: Request<RequestBody>) -> Request<RequestBody> {
    let read = ReadCall::new(request, &ReadOptions::default()).await;
    read.expect("a readable call")
}

#[tokio::test(start_paused = true)]
async fn every_attempt_sends_the_same_request_byte_for_byte() {
    for read_before in [false, true] {
        let mut request = request();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert("authorization", "Bearer k".parse().expect("a header value"));
        headers.append("x-twice", "1".parse().expect("a header value"));
        headers.append("x-twice", "2".parse().expect("a header value"));
        request.extensions_mut().insert(Mark("the caller's"));
        let headers = request.headers().clone();
        let request = if read_before {
            read(request).await
        } else {
            request
        };

        let run = run(
            RetryPolicy::default(),
            request,
            vec![Ok(throttled()), Ok(broken()), Ok(ok())],
        )
        .await;
        assert_eq!(run.sent.len(), 3);
        let mut calls = Vec::new();
        for (number, (_, mut sent)) in run.sent.into_iter().enumerate() {
            let marker = sent.headers_mut().remove("x-stainless-retry-count");
            let count = marker.map(|count| count.to_str().expect("text").to_owned());
            assert_eq!(count, (number > 0).then(|| number.to_string()));
            assert_eq!(sent.method(), Method::POST);
            assert_eq!(
                sent.uri(),
                "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions"
            );
            assert_eq!(sent.version(), Version::HTTP_2);
            assert_eq!(sent.headers(), &headers);
            assert_eq!(sent.extensions().get(), Some(&Mark("the caller's")));
            calls.push(Arc::clone(Call::of(&sent).expect("a call that was read")));
            assert_eq!(bytes(sent.into_body()).await, PROMPT);
        }
        assert!(
            calls.iter().all(|call| Arc::ptr_eq(call, &calls[0])),
            "one arrival, one place"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_set_by_inner_layers_are_not_replayed() {
    let attempts = AtomicU32::new(0);
    let inner = service_fn(|mut request: Request<RequestBody>| {
        let fresh = request.extensions().get::<UsageSink>().is_none();
        let fresh = fresh && !request.headers().contains_key("x-inside");
        request
            .extensions_mut()
            .insert(UsageSink::new(Arc::new(Deaf)));
        request
            .headers_mut()
            .insert("x-inside", "1".parse().expect("a header value"));
        drop(request);
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(
                fresh,
                "attempt {attempt} carries the sink of the one before"
            );
            Ok::<Answer, Infallible>(if attempt < 2 { broken() } else { ok() })
        }
    });
    let service = RetryLayer::new(RetryPolicy::default()).layer(inner);
    let answer = service.oneshot(request()).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(attempts.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_in_memory_is_sent_once() {
    let mut other = request();
    *other.uri_mut() = "https://dashscope.aliyuncs.com/compatible-mode/v1/files"
        .parse()
        .expect("a uri");
    let run = run(RetryPolicy::default(), other, vec![Ok(throttled())]).await;
    assert_eq!(run.attempts().number, 1);
    assert_eq!(run.took, ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_call_read_before_is_sent_before_the_future_is_polled() {
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let inner = service_fn(move |_: Request<RequestBody>| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Ok::<Answer, Infallible>(ok()) }
    });
    let mut service = RetryLayer::new(RetryPolicy::default()).layer(inner);
    let read = read(request()).await;
    let unpolled = service.ready().await.expect("ready").call(read);
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    drop(unpolled);
    let unpolled = service.ready().await.expect("ready").call(request());
    assert_eq!(
        sent.load(Ordering::Relaxed),
        1,
        "an unread one has to be read first"
    );
    drop(unpolled);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_read_is_not_sent() {
    let malformed = request().map(|_| Full::from("{\"model\":"));
    let run = run(RetryPolicy::default(), malformed, vec![]).await;
    let error = run.result.expect_err("nothing to send");
    let error = error
        .downcast::<ReadError<BoxError>>()
        .expect("a typed error");
    assert!(matches!(*error, ReadError::Parse(_)));
    assert!(run.sent.is_empty());
}

pin_project_lite::pin_project! {
    /// A body that fails, of a type that can also be made from bytes.
    struct Failing {
        #[pin]
        inner: StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, std::io::Error>>>>,
    }
}

impl Failing {
    fn new(frames: Vec<Result<Frame<Bytes>, std::io::Error>>) -> Self {
        Self {
            inner: StreamBody::new(stream::iter(frames)),
        }
    }
}

impl From<Bytes> for Failing {
    fn from(bytes: Bytes) -> Self {
        Self::new(vec![Ok(Frame::data(bytes))])
    }
}

impl http_body::Body for Failing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.project().inner.poll_frame(cx)
    }
}

async fn rejected(body: Failing, options: ReadOptions) -> Box<ReadError<BoxError>> {
    let inner = service_fn(|_: Request<Failing>| async {
        panic!("sent");
        #[allow(unreachable_code)]
        Ok::<Answer, Infallible>(ok())
    });
    let layer = RetryLayer::new(RetryPolicy::default()).read_options(options);
    let rejected = layer.layer(inner).oneshot(request().map(|_| body)).await;
    let error = rejected.expect_err("nothing to send");
    error
        .downcast::<ReadError<BoxError>>()
        .expect("a typed error")
}

#[tokio::test(start_paused = true)]
async fn a_failing_request_body_is_not_a_broken_connection() {
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let body = Failing::new(vec![Ok(Frame::data(Bytes::from_static(b"{"))), Err(reset)]);
    let error = rejected(body, ReadOptions::default()).await;
    assert!(matches!(*error, ReadError::Body(_)));
    assert!(std::error::Error::source(&*error).is_some_and(|source| source.is::<std::io::Error>()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_grows_too_large_is_rejected() {
    let body = Failing::new(vec![Ok(Frame::data(Bytes::from_static(PROMPT.as_bytes())))]);
    let error = rejected(body, ReadOptions::default().max_body(10)).await;
    assert!(matches!(*error, ReadError::TooLarge { limit: 10 }));
    assert_eq!(error.to_string(), "request body is longer than 10 bytes");
}
