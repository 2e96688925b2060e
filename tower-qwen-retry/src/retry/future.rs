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
use tokio::time::{Sleep, sleep};
use tower_qwen_tokens::{
    call::ReadCall,
    internal::{Classify, PeekedBody},
};
use tower_service::Service;

use super::{
    ResponseBody,
    course::{Course, Next},
    layer::Shared,
};
use crate::BoxError;

pin_project! {
    /// One call with all of its attempts. See the [module page](crate::retry).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the attempt under way, or ends the wait.
    pub struct ResponseFuture<S, B, RB>
    where
        S: Service<Request<B>>,
        RB: Body,
    {
        #[pin]
        state: State<ReadCall<B>, S::Future, Classify<RB>>,
        course: Course<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<R, F, J> {
        Reading { #[pin] read: R },
        Readying,
        Calling { #[pin] call: F },
        Classifying { #[pin] classify: J },
        Waiting { #[pin] sleep: Sleep },
        Done,
    }
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body,
{
    /// Reads the request first, then sends it with the `service`, which is ready.
    pub(super) fn reading(service: S, read: ReadCall<B>, shared: Arc<Shared>) -> Self {
        Self {
            state: State::Reading { read },
            course: Course::new(service, shared),
        }
    }

    /// Sends the request at once with the `service`, which is ready.
    pub(super) fn calling(service: S, request: Request<B>, shared: Arc<Shared>) -> Self {
        let mut course = Course::new(service, shared);
        let call = course.send(request);
        Self {
            state: State::Calling { call },
            course,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, BoxError>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let course = this.course;
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read } => match ready!(read.poll(cx)) {
                    Ok(request) => State::Calling {
                        call: course.send(request),
                    },
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error.boxed().into()));
                    }
                },
                StateProj::Readying => match ready!(course.service.poll_ready(cx)) {
                    Ok(()) => State::Calling {
                        call: course.send_again(),
                    },
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error.into()));
                    }
                },
                StateProj::Calling { call } => match ready!(call.poll(cx)) {
                    Ok(answer) if course.passes(&answer) => {
                        let answer = answer.map(PeekedBody::new);
                        course.after_answer(&answer);
                        this.state.set(State::Done);
                        return Poll::Ready(Ok(course.hand_back(answer)));
                    }
                    Ok(answer) => State::Classifying {
                        classify: course.classify(answer),
                    },
                    Err(error) => {
                        let error = error.into();
                        match course.after_error(&error) {
                            Next::Wait(wait) => State::Waiting { sleep: sleep(wait) },
                            Next::Send => State::Readying,
                            Next::HandBack => {
                                this.state.set(State::Done);
                                return Poll::Ready(Err(error));
                            }
                        }
                    }
                },
                StateProj::Classifying { classify } => {
                    let answer = ready!(classify.poll(cx));
                    let next = match course.after_answer(&answer) {
                        Next::Wait(wait) => State::Waiting { sleep: sleep(wait) },
                        Next::Send => State::Readying,
                        Next::HandBack => {
                            this.state.set(State::Done);
                            return Poll::Ready(Ok(course.hand_back(answer)));
                        }
                    };
                    // Dropped before the sleep: its connection serves others meanwhile.
                    drop(answer);
                    next
                }
                StateProj::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    State::Readying
                }
                StateProj::Done => panic!("`ResponseFuture` polled after it was ready"),
            };
            this.state.set(next);
        }
    }
}

impl<S, B, RB> fmt::Debug for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
    RB: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempts", &self.course.attempts)
            .finish_non_exhaustive()
    }
}
