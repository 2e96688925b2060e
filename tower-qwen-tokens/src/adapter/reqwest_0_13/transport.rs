use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use reqwest::{Body, Client, ClientBuilder};
use tower_service::Service;

use super::{answer::into_http, call::CallOrError};
use crate::macros::{inner_accessors, opaque_debug};

/// reqwest as the transport of a stack. See the [module docs](super).
///
/// `S` is a [`Client`], or any other service of reqwest's types.
#[derive(Debug, Clone)]
pub struct ReqwestTransport<S = Client> {
    inner: S,
}

impl ReqwestTransport {
    /// Builds the client with its own retries switched off.
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`].
    pub fn build(builder: ClientBuilder) -> reqwest::Result<Self> {
        builder
            .retry(reqwest::retry::never())
            .build()
            .map(Self::new)
    }
}

impl<S> ReqwestTransport<S> {
    /// The transport over this service. Switch off the retries of a client that you built yourself.
    #[must_use]
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    inner_accessors!();
}

impl<S> Service<Request<Body>> for ReqwestTransport<S>
where
    S: Service<reqwest::Request, Response = reqwest::Response>,
    S::Error: From<reqwest::Error>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = TransportFuture<S::Future, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let send = |request| self.inner.call(request);
        let call = CallOrError::new(reqwest::Request::try_from(request), send);
        TransportFuture { call }
    }
}

pin_project! {
    /// Response future of [`ReqwestTransport`].
    #[must_use = "futures do nothing unless polled"]
    pub struct TransportFuture<F, E> {
        #[pin]
        call: CallOrError<F, E>,
    }
}

impl<F, E> Future for TransportFuture<F, E>
where
    F: Future<Output = Result<reqwest::Response, E>>,
{
    type Output = Result<Response<Body>, E>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx).map_ok(into_http)
    }
}

opaque_debug!(TransportFuture, impl<F, E> std::fmt::Debug for TransportFuture<F, E>);
