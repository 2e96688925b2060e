use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_qwen_tokens::call::ReadCall;
use tower_service::Service;

use super::{
    ResponseBody,
    decide::{Decision, Passage},
    layer::Settings,
    problem::Manner,
};
use crate::BoxError;

pin_project! {
    /// The answer of an [`Enforce`](super::Enforce): the inner service's, or a refusal.
    ///
    /// # Cancel safety
    ///
    /// See the [module](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, B> {
        #[pin]
        state: State<S, F, B>,
        passage: Option<Passage>,
        settings: Arc<Settings>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<(S, Manner)>,
        },
        Calling {
            #[pin]
            future: F,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
    }
}

impl<S, F, B> ResponseFuture<S, F, B> {
    pub(super) fn reading(
        read: ReadCall<B>,
        ready: S,
        manner: Manner,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            state: State::Reading {
                read,
                then: Some((ready, manner)),
            },
            passage: None,
            settings,
        }
    }

    pub(super) fn decided(
        ready: &mut S,
        request: Request<B>,
        manner: &Manner,
        settings: &Arc<Settings>,
    ) -> Self
    where
        S: Service<Request<B>, Future = F>,
    {
        let (state, passage) = decide(ready, request, manner, settings);
        Self {
            state,
            passage,
            settings: settings.clone(),
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read, then } => {
                    let read = ready!(read.poll(cx));
                    let (mut ready, manner) = then.take().expect("not polled after it was ready");
                    match read {
                        Ok(request) => {
                            let (state, passage) =
                                decide(&mut ready, request, &manner, this.settings);
                            *this.passage = passage;
                            state
                        }
                        Err(error) => {
                            this.settings.counters.unread();
                            State::Refused {
                                response: Some(manner.unread(error.boxed())),
                            }
                        }
                    }
                }
                StateProj::Calling { future } => {
                    let answer = ready!(future.poll(cx));
                    let passage = this.passage.take();
                    return Poll::Ready(match answer {
                        Ok(mut response) => {
                            let running = passage
                                .and_then(|passage| passage.answered(&mut response, this.settings));
                            Ok(response.map(|body| ResponseBody::passed(body, running)))
                        }
                        Err(error) => {
                            if let Some(passage) = passage {
                                passage.failed(this.settings);
                            }
                            Err(error)
                        }
                    });
                }
                StateProj::Refused { response } => {
                    let response = response.take().expect("not polled after it was ready");
                    return Poll::Ready(Ok(response.map(ResponseBody::refusal)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Sends a call that has been read, or refuses it.
fn decide<S: Service<Request<B>>, B>(
    ready: &mut S,
    mut request: Request<B>,
    manner: &Manner,
    settings: &Settings,
) -> (State<S, S::Future, B>, Option<Passage>) {
    match settings.decide(&mut request) {
        Decision::Passes(passage) => {
            let future = ready.call(request);
            (State::Calling { future }, Some(passage))
        }
        Decision::Refused(refusal, tenant) => {
            let mut response = manner.refuse(refusal);
            settings.tell(response.headers_mut(), &tenant);
            let response = Some(response);
            (State::Refused { response }, None)
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Reading { .. } => "reading",
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
