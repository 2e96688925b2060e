//! The way of model calls past the table of paths.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, extract::Request, response::Response, routing::future::RouteFuture};
use pin_project_lite::pin_project;
use tower::Service;
use tower_qwen_tokens::Dialect;

/// Hands model calls to their service, and all else to a router whose fallback is the same service.
// The router would find no path for a model call. Until it hands it to the fallback, it has made extensions for it, which
// Retry copies, and a box.
#[derive(Debug, Clone)]
pub struct Shortcut<S> {
    calls: S,
    paths: Router,
}

pin_project! {
    /// Response future of [`Shortcut`].
    pub struct ResponseFuture<F> {
        #[pin]
        way: Way<F>,
    }
}

pin_project! {
    #[project = WayProj]
    enum Way<F> {
        Call { #[pin] inner: F },
        Path { #[pin] inner: RouteFuture<Infallible> },
    }
}

impl<S> Shortcut<S> {
    /// Both ways.
    pub fn new(calls: S, paths: Router) -> Self {
        Self { calls, paths }
    }
}

impl<S> Service<Request> for Shortcut<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        self.calls.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let way = if Dialect::of_path(request.uri().path()).is_some() {
            let inner = self.calls.call(request);
            Way::Call { inner }
        } else {
            let inner = self.paths.call(request);
            Way::Path { inner }
        };
        ResponseFuture { way }
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for ResponseFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().way.project() {
            WayProj::Call { inner } => inner.poll(cx),
            WayProj::Path { inner } => inner.poll(cx),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
