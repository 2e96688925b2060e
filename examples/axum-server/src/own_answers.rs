//! Makes the gateway's own answers, which are errors for the Meter, answers again.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{body::Body, extract::Request, response::Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::Service;

/// Answers with what the service inside answers, or with its error.
// No `HandleError` of axum, which boxes the future of a call and its answer's body; and each box around a body costs each
// frame of a stream some steps more.
#[derive(Debug, Clone)]
pub struct OwnAnswers<S>(S);

pin_project! {
    /// Response future of [`OwnAnswers`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<S> OwnAnswers<S> {
    /// Over a service that is always ready.
    pub fn new(inner: S) -> Self {
        Self(inner)
    }
}

impl<S, B> Service<Request> for OwnAnswers<S>
where
    S: Service<Request, Response = Response<B>, Error = Box<Response>>,
{
    type Response = Response<Either<B, Body>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // An error is the answer to a call, so there is none before a call.
        self.0.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ResponseFuture {
            inner: self.0.call(request),
        }
    }
}

impl<F, B> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, Box<Response>>>,
{
    type Output = Result<Response<Either<B, Body>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map(|answer| {
            Ok(match answer {
                Ok(answer) => answer.map(Either::Left),
                Err(own) => own.map(Either::Right),
            })
        })
    }
}
