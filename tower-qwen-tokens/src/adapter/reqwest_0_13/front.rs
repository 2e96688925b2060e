use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use reqwest::Url;
use tower_layer::Layer;
use tower_service::Service;

use super::{call::CallOrError, into_reqwest};
use crate::{
    call::BoxError,
    macros::{inner_accessors, opaque_debug},
};

/// Layer of [`ReqwestFront`]. See the [module docs](super). Outermost.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct ReqwestFrontLayer;

/// A stack that is called with reqwest's requests and gives reqwest's answers. See the [module
/// docs](super).
#[derive(Debug, Clone)]
pub struct ReqwestFront<S> {
    inner: S,
}

impl<S> ReqwestFront<S> {
    /// The front of this stack.
    #[must_use]
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    inner_accessors!();
}

impl<S> Layer<S> for ReqwestFrontLayer {
    type Service = ReqwestFront<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReqwestFront::new(inner)
    }
}

impl<S, RB> Service<reqwest::Request> for ReqwestFront<S>
where
    S: Service<Request<reqwest::Body>, Response = Response<RB>>,
    S::Error: From<reqwest::Error>,
    RB: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    type Response = reqwest::Response;
    type Error = S::Error;
    type Future = FrontFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        // An answer that a layer made up has no URL of its own.
        let url = Some(request.url().clone());
        // reqwest takes some URLs that are no URI for `http`.
        let send = |request| self.inner.call(request);
        let call = CallOrError::new(Request::try_from(request), send);
        FrontFuture { call, url }
    }
}

pin_project! {
    /// Response future of [`ReqwestFront`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FrontFuture<F, E> {
        #[pin]
        call: CallOrError<F, E>,
        url: Option<Url>,
    }
}

impl<F, RB, E> Future for FrontFuture<F, E>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + Sync + 'static,
{
    type Output = Result<reqwest::Response, E>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.call.poll(cx));
        let url = this.url.take().expect("not polled after it was ready");
        Poll::Ready(answer.map(|answer| into_reqwest(answer, url)))
    }
}

opaque_debug!(FrontFuture, impl<F, E> std::fmt::Debug for FrontFuture<F, E>);
