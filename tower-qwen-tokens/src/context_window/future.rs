use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::call::{BoxError, ReadCall};

use super::{
    ContextWindowExceeded,
    guard::{Guard, Note},
};

pin_project! {
    /// Response future of [`ContextWindow`](super::ContextWindow); see the [module docs](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        state: State<S, F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<Then<S>>,
        },
        Refused {
            exceeded: Option<ContextWindowExceeded>,
        },
        Calling {
            #[pin]
            future: F,
            note: Option<Note>,
        },
    }
}

/// What the call needs once its request is read.
struct Then<S> {
    ready: S,
    guard: Guard,
}

impl<S, F, B> ResponseFuture<S, F, B> {
    pub(super) fn calling(future: F, note: Option<Note>) -> Self {
        Self {
            state: State::Calling { future, note },
        }
    }

    pub(super) fn refused(exceeded: ContextWindowExceeded) -> Self {
        Self {
            state: State::Refused {
                exceeded: Some(exceeded),
            },
        }
    }

    pub(super) fn reading(read: ReadCall<B>, ready: S, guard: Guard) -> Self {
        let then = Some(Then { ready, guard });
        Self {
            state: State::Reading { read, then },
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read, then } => {
                    let mut request = ready!(read.poll(cx)).map_err(|error| error.boxed())?;
                    let mut then = then.take().expect("not polled after it was ready");
                    let note = then.guard.admit(&mut request)?;
                    State::Calling {
                        future: then.ready.call(request),
                        note,
                    }
                }
                StateProj::Refused { exceeded } => {
                    let exceeded = exceeded.take().expect("not polled after it was ready");
                    return Poll::Ready(Err(exceeded.into()));
                }
                StateProj::Calling { future, note } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    if let Some(note) = note.take() {
                        note.put(response.extensions_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Reading { .. } => "reading",
            State::Refused { .. } => "refused",
            State::Calling { .. } => "calling",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
