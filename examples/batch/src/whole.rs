//! Reads each answer to its end, below Retry.
//!
//! Of an answer that breaks off nobody has seen a word. So it is a failed attempt like any other, and Retry makes the next
//! one within its own limits: attempts, retry budget, deadline. Each attempt was metered further in, and stays in the ledger.
//! An error answer passes as it comes: Retry need not wait for its end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body::Body;
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_qwen_tokens::{Dialect, call::BoxError};

use crate::{
    output::ErrorPart,
    reading::{Reading, too_long},
};

/// Hands on whole answers only. See the module.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct WholeLayer;

/// See the module.
#[derive(Debug, Clone)]
pub struct Whole<S> {
    inner: S,
}

pin_project! {
    /// The future of [`Whole`].
    pub struct WholeFuture<F, RB> {
        #[pin]
        state: State<F, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        Calling {
            #[pin]
            call: F,
            dialect: Option<Dialect>,
        },
        Reading {
            answer: Option<(Parts, Reading)>,
            #[pin]
            body: RB,
        },
    }
}

/// How the reading of a body ended.
enum End {
    /// With the body, or where that broke off.
    Body(Option<BoxError>),
    TooLong(ErrorPart),
}

impl<S> Layer<S> for WholeLayer {
    type Service = Whole<S>;

    fn layer(&self, inner: S) -> Whole<S> {
        Whole { inner }
    }
}

impl<S, B, RB> Service<Request<B>> for Whole<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Response = Response<Either<Full<Bytes>, RB>>;
    type Error = S::Error;
    type Future = WholeFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        WholeFuture {
            state: State::Calling {
                dialect: Dialect::of_path(request.uri().path()),
                call: self.inner.call(request),
            },
        }
    }
}

impl<F, RB, E> Future for WholeFuture<F, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Output = Result<Response<Either<Full<Bytes>, RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Calling { call, dialect } => {
                    let (parts, body) = ready!(call.poll(cx))?.into_parts();
                    let Some(reading) = Reading::begin(&parts, *dialect) else {
                        let answer = Response::from_parts(parts, Either::Right(body));
                        return Poll::Ready(Ok(answer));
                    };
                    State::Reading {
                        answer: Some((parts, reading)),
                        body,
                    }
                }
                StateProj::Reading { answer, mut body } => {
                    let (_, reading) = answer.as_mut().expect("not polled after it was ready");
                    let end = loop {
                        let frame = match body.as_mut().poll_frame(cx) {
                            Poll::Pending if reading.is_failed() => break End::Body(None),
                            frame => ready!(frame),
                        };
                        let data = match frame {
                            Some(Ok(frame)) => frame.into_data(),
                            Some(Err(error)) => break End::Body(Some(error.into())),
                            None => break End::Body(None),
                        };
                        if let Ok(data) = data
                            && let Err(error) = reading.push(&data)
                        {
                            break End::TooLong(error);
                        }
                    };
                    let (parts, reading) = answer.take().expect("taken just now");
                    let answer = match end {
                        End::TooLong(error) => too_long(parts, error),
                        End::Body(None) => reading.finish(parts, None),
                        End::Body(Some(error)) => reading.finish(parts, Some(&*error)),
                    };
                    return Poll::Ready(Ok(answer.map(Either::Left)));
                }
            };
            state.set(next);
        }
    }
}

impl<F, RB> std::fmt::Debug for WholeFuture<F, RB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WholeFuture").finish_non_exhaustive()
    }
}
