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
    driver::{Driver, NextStep, Route},
    settings::Settings,
};
use crate::BoxError;

pin_project! {
    /// One call with all of its attempts. See the [module docs](crate::retry).
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
        phase: Phase<ReadCall<B>, S::Future, Classify<RB>>,
        driver: Driver<S>,
    }
}

pin_project! {
    #[project = PhaseProj]
    enum Phase<R, F, C> {
        Reading { #[pin] read: R },
        Routing,
        BecomingReady,
        Calling { #[pin] call: F },
        Classifying { #[pin] classify: C },
        Waiting { #[pin] sleep: Sleep },
        Done,
    }
}

impl<R, F, C> Phase<R, F, C> {
    /// The phase after an attempt; `None` if its outcome is the caller's.
    fn after(step: NextStep) -> Option<Self> {
        match step {
            NextStep::Wait(wait) => Some(Self::Waiting { sleep: sleep(wait) }),
            NextStep::Send => Some(Self::BecomingReady),
            NextStep::Return => None,
        }
    }

    /// The phase of the first attempt.
    fn first(call: Option<F>) -> Self {
        call.map_or(Self::Routing, |call| Self::Calling { call })
    }
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    RB: Body,
{
    /// Reads the request first, then sends it with the `service`, which is ready.
    pub(super) fn reading(service: S, read: ReadCall<B>, settings: Arc<Settings>) -> Self {
        Self {
            phase: Phase::Reading { read },
            driver: Driver::new(service, settings),
        }
    }

    /// Sends the request with the `service`, which is ready, before the future is polled.
    pub(super) fn calling(service: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        let mut driver = Driver::new(service, settings);
        let call = driver.send(request);
        Self {
            phase: Phase::first(call),
            driver,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
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
        let driver = this.driver;
        let output = loop {
            let next = match this.phase.as_mut().project() {
                PhaseProj::Reading { read } => match ready!(read.poll(cx)) {
                    Ok(request) => Phase::first(driver.send(request)),
                    Err(error) => break Err(error.boxed().into()),
                },
                PhaseProj::Routing => match driver.route() {
                    Route::Send => Phase::BecomingReady,
                    Route::Wait(wait) => {
                        // Its readiness is given up: nothing scarce is held while the call sleeps.
                        driver.service = driver.service.clone();
                        Phase::Waiting { sleep: sleep(wait) }
                    }
                    Route::Fail(error) => break Err(error.into()),
                },
                PhaseProj::BecomingReady => match ready!(driver.service.poll_ready(cx)) {
                    Ok(()) => Phase::Calling {
                        call: driver.send_again(),
                    },
                    Err(error) => break Err(error.into()),
                },
                PhaseProj::Calling { call } => match ready!(call.poll(cx)) {
                    // Most answers: nothing of them is read, no error can be in them.
                    Ok(answer) if driver.passes(&answer) => {
                        driver.after_success(answer.status());
                        break Ok(driver.finish(answer.map(PeekedBody::new)));
                    }
                    Ok(answer) => Phase::Classifying {
                        classify: driver.classify(answer),
                    },
                    Err(error) => {
                        let error = error.into();
                        match Phase::after(driver.after_error(&error)) {
                            Some(next) => next,
                            None => break Err(error),
                        }
                    }
                },
                PhaseProj::Classifying { classify } => {
                    let answer = ready!(classify.poll(cx));
                    // The answer is dropped before the sleep: its connection serves other calls
                    // meanwhile.
                    match Phase::after(driver.after_answer(&answer)) {
                        Some(next) => next,
                        None => break Ok(driver.finish(answer)),
                    }
                }
                PhaseProj::Waiting { sleep } => {
                    ready!(sleep.poll(cx));
                    driver.waited();
                    if driver.is_routed {
                        Phase::BecomingReady
                    } else {
                        Phase::Routing
                    }
                }
                PhaseProj::Done => panic!("`ResponseFuture` polled after it was ready"),
            };
            this.phase.set(next);
        };
        // Drops the inner future now: the caller may keep this one for long.
        this.phase.set(Phase::Done);
        driver.end();
        Poll::Ready(output)
    }
}

impl<S, B, RB> fmt::Debug for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
    RB: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("attempts", &self.driver.state.attempts)
            .finish_non_exhaustive()
    }
}
