//! Calls are checked, and those that may not pass are answered.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::Service;

use crate::{allow_list, auth, countable, gateway::Gateway, models, path, serve::of_anybody};

/// Lets a request pass, or answers it.
pub type Check = fn(&Gateway, &mut Request) -> Result<(), Box<Response>>;

/// Answers calls that may not pass, and hands the others on.
// No three functions as layers: for each of those axum boxes a service and two futures a call.
#[derive(Debug, Clone)]
pub struct Checks<S> {
    inner: S,
    gateway: Arc<Gateway>,
    check: Check,
}

pin_project! {
    /// Response future of [`Checks`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        // Of a call that did not pass.
        answer: Option<Box<Response>>,
    }
}

impl<S> Checks<S> {
    /// A check of a gateway before a service.
    pub fn new(gateway: Arc<Gateway>, check: Check, inner: S) -> Self {
        Self {
            inner,
            gateway,
            check,
        }
    }
}

/// What is seen before anything of a call is read: its key, its path, and whether that is on the list. The key first, so that
/// without one every path is 401.
///
/// # Errors
///
/// The answer to a call that may not pass, boxed for its size.
pub fn unread(gateway: &Gateway, request: &mut Request) -> Result<(), Box<Response>> {
    let checked = auth::check(gateway, request)
        .and_then(|()| path::check(request))
        .and_then(|()| allow_list::check(request));
    checked.map_err(|answer| Box::new(of_anybody(*answer)))
}

/// What is seen once a call has been read: that its answer holds what it costs, and whether its caller may name its model.
///
/// # Errors
///
/// The answer to a call that may not pass, boxed for its size.
pub fn read(gateway: &Gateway, request: &mut Request) -> Result<(), Box<Response>> {
    countable::check(request)?;
    models::check(gateway, request)
}

impl<S, B> Service<Request> for Checks<S>
where
    S: Service<Request, Response = Response<B>>,
{
    type Response = Response<Either<B, Body>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match (self.check)(&self.gateway, &mut request) {
            Ok(()) => ResponseFuture {
                inner: Some(self.inner.call(request)),
                answer: None,
            },
            Err(answer) => ResponseFuture {
                inner: None,
                answer: Some(answer),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<B, Body>>, E>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_ok(|answer| answer.map(Either::Left)),
            None => {
                let answer = this.answer.take().expect("polled after it was ready");
                Poll::Ready(Ok(answer.map(Either::Right)))
            }
        }
    }
}
