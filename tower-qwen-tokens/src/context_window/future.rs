use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    call::{BoxError, ReadCall},
    macros::opaque_debug,
};

use super::{
    ContextWindowExceeded,
    guard::{Note, Settings},
};

pin_project! {
    /// Response future of [`ContextWindow`](super::ContextWindow); see the [module docs](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        phase: GuardPhase<S, F, B>,
    }
}

pin_project! {
    #[project = GuardPhaseProj]
    enum GuardPhase<S, F, B> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<ReadyCall<S>>,
        },
        Rejected {
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
struct ReadyCall<S> {
    ready: S,
    settings: Arc<Settings>,
}

impl<S, F, B> ResponseFuture<S, F, B> {
    pub(super) fn calling(future: F, note: Option<Note>) -> Self {
        Self {
            phase: GuardPhase::Calling { future, note },
        }
    }

    pub(super) fn rejected(exceeded: ContextWindowExceeded) -> Self {
        Self {
            phase: GuardPhase::Rejected {
                exceeded: Some(exceeded),
            },
        }
    }

    pub(super) fn reading(read: ReadCall<B>, ready: S, settings: Arc<Settings>) -> Self {
        let then = Some(ReadyCall { ready, settings });
        Self {
            phase: GuardPhase::Reading { read, then },
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
            let next = match this.phase.as_mut().project() {
                GuardPhaseProj::Reading { read, then } => {
                    let mut request = ready!(read.poll(cx)).map_err(|error| error.boxed())?;
                    let mut then = then.take().expect("not polled after it was ready");
                    let note = then.settings.admit(&mut request)?;
                    GuardPhase::Calling {
                        future: then.ready.call(request),
                        note,
                    }
                }
                GuardPhaseProj::Rejected { exceeded } => {
                    let exceeded = exceeded.take().expect("not polled after it was ready");
                    return Poll::Ready(Err(exceeded.into()));
                }
                GuardPhaseProj::Calling { future, note } => {
                    let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                    if let Some(note) = note.take() {
                        note.put(response.extensions_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
            };
            this.phase.set(next);
        }
    }
}

opaque_debug!(ResponseFuture, impl<S, F, B> std::fmt::Debug for ResponseFuture<S, F, B>);
