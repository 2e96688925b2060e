//! What is nearest to the transport: a span for each attempt at an upstream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use http::{Request, Response};
use hyper_util::client::legacy::Error;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::trace::Span;
use pin_project_lite::pin_project;
use tower::Service;

use super::{
    answer::ReadBody,
    call_span::{CallTrace, fail, status_code},
};

/// A transport whose requests are spans of their calls' traces, until the answer begins. Requests of no traced call, and their
/// answers, go through as they are.
#[derive(Debug, Clone)]
pub struct Traced<S>(S);

pin_project! {
    /// Response future of [`Traced`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        attempt: Option<Attempt>,
    }
}

/// A span that says how the attempt ended, whichever way it did.
struct Attempt {
    span: Span,
    trace: CallTrace,
    has_ended: bool,
}

impl<S> Traced<S> {
    /// This transport with spans.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Error>,
{
    type Response = Response<ReadBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let trace = request.extensions_mut().remove::<CallTrace>();
        let attempt = trace.map(|trace| Attempt {
            span: trace.attempt(&mut request),
            trace,
            has_ended: false,
        });
        ResponseFuture {
            inner: self.0.call(request),
            attempt,
        }
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Error>>,
{
    type Output = Result<Response<ReadBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let trace = this.attempt.as_mut().and_then(|it| it.end(&answer));
        Poll::Ready(answer.map(|answer| answer.map(|body| ReadBody::new(body, trace))))
    }
}

impl Attempt {
    /// Gives the trace of an answer that is worth to be read.
    fn end<B>(&mut self, answer: &Result<Response<B>, Error>) -> Option<CallTrace> {
        self.has_ended = true;
        match answer {
            Ok(answer) => {
                let status = answer.status();
                self.span.set_attribute(status_code(status));
                if status.is_client_error() || status.is_server_error() {
                    fail(&mut self.span, status.as_u16().to_string());
                }
            }
            Err(error) if error.is_connect() => fail(&mut self.span, "connect"),
            Err(_) => fail(&mut self.span, "transport"),
        }
        let is_recorded = self.span.is_recording();
        self.span.end();
        is_recorded.then(|| self.trace.clone())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Nobody waits for its answer any more: the caller has left, or the attempt's time was over.
        if !self.has_ended {
            fail(&mut self.span, "cancelled");
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
