//! The service that watches calls.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::Request, response::Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::Service;

use super::{HeldBody, UnderWay, Watched};

/// Lets a call through with a body that is watched, and answers where that goes wrong. Of every answer that says "later"
/// it sees to the headers.
// No function as a layer, for which axum would box a service and two futures a call.
#[derive(Debug, Clone)]
pub struct Watch<S> {
    inner: S,
    under_way: UnderWay,
}

pin_project! {
    /// Response future of [`Watch`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: Option<F>,
        watched: Result<Option<Watched>, Option<Box<Response>>>,
    }
}

impl<S> Watch<S> {
    /// Watches the calls of a service.
    pub fn new(under_way: UnderWay, inner: S) -> Self {
        Self { inner, under_way }
    }
}

impl<S, B> Service<Request> for Watch<S>
where
    S: Service<Request, Response = Response<B>>,
{
    type Response = Response<Either<HeldBody<B>, Body>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match Watched::begin(&self.under_way, &request) {
            Ok(watched) => ResponseFuture {
                inner: Some(self.inner.call(watched.request(request))),
                watched: Ok(Some(watched)),
            },
            Err(answer) => ResponseFuture {
                inner: None,
                watched: Err(Some(answer)),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Either<HeldBody<B>, Body>>, E>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const AGAIN: &str = "polled after it was ready";
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            let answer = this.watched.as_mut().err().and_then(Option::take);
            return Poll::Ready(Ok(answer.expect(AGAIN).map(Either::Right)));
        };
        let answer = ready!(inner.poll(cx));
        // What it holds is free before the answer goes out.
        this.inner.set(None);
        let watched = this.watched.as_mut().ok().and_then(Option::take);
        let watched = watched.expect(AGAIN);
        Poll::Ready(answer.map(|answer| watched.answer(answer)))
    }
}
