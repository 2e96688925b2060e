use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_qwen_tokens::{
    Paced, Peeked, Verdict,
    call::ReadCall,
    clock::now,
    judge::{Judge, judge},
};
use tower_service::Service;

use super::{ResponseBody, layer::Shared, replay::Replay};
use crate::{
    Attempts, BoxError,
    decide::{Failure, Kind},
    trace,
};

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
        state: State<ReadCall<B>, S::Future, Judge<RB>>,
        course: Course<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<R, F, J> {
        Reading { #[pin] read: R },
        Readying,
        Calling { #[pin] call: F },
        Judging { #[pin] judge: J },
        Waiting { #[pin] sleep: Sleep },
        Done,
    }
}

/// What lasts from attempt to attempt.
struct Course<S> {
    service: S,
    shared: Arc<Shared>,
    /// `None` until the request was read, and where it cannot be sent again.
    replay: Option<Replay>,
    rng: Rng,
    attempts: Attempts,
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

impl<S> Course<S> {
    fn new(service: S, shared: Arc<Shared>) -> Self {
        shared.policy.budget.deposit();
        Self {
            service,
            rng: shared.policy.seeds.rng(),
            shared,
            replay: None,
            attempts: Attempts {
                number: 0,
                waited: Duration::ZERO,
            },
        }
    }

    /// Sends the first attempt.
    fn send<B>(&mut self, request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        let (request, replay) = if self.shared.policy.max_attempts > 1 {
            Replay::keep(request)
        } else {
            (request, None)
        };
        self.replay = replay;
        self.attempts.number = 1;
        self.service.call(request)
    }

    /// Sends a further attempt.
    fn send_again<B>(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: From<Bytes>,
    {
        let replay = self
            .replay
            .as_ref()
            .expect("only a call that was kept is retried");
        self.attempts.number = self.attempts.number.saturating_add(1);
        self.service.call(replay.request())
    }

    /// The wait before the next attempt; `None` where this answer is the caller's.
    fn after_answer<RB>(&mut self, answer: &mut Response<RB>) -> Option<Duration> {
        let verdict = self.verdict(answer).filter(Verdict::is_transient)?;
        let throttled = verdict.is_throttle();
        let paced = answer.extensions().get::<Paced>().filter(|_| throttled);
        let failure = Failure {
            kind: if throttled {
                Kind::Throttle
            } else {
                Kind::Error
            },
            hint: verdict.retry_after(),
            paced: paced.map(|paced| paced.until),
        };
        self.after(failure, verdict.cause().as_str())
    }

    /// The verdict on an answer that was judged, corrected by what only the request tells.
    fn verdict<RB>(&self, answer: &mut Response<RB>) -> Option<Verdict> {
        let verdict = answer.extensions().get::<Verdict>()?.clone();
        let impossible = self
            .replay
            .as_ref()
            .is_some_and(Replay::asks_for_impossible_task);
        if !impossible {
            return Some(verdict);
        }
        let verdict = verdict.of_async_call();
        answer.extensions_mut().insert(verdict.clone());
        Some(verdict)
    }

    /// The wait before the next attempt; `None` where this error is the caller's.
    fn after_error(&mut self, error: &BoxError) -> Option<Duration> {
        if !self.shared.policy.is_transient(error.as_ref()) {
            return None;
        }
        let failure = Failure {
            kind: Kind::Error,
            hint: None,
            paced: None,
        };
        self.after(failure, "transport")
    }

    fn after(&mut self, failure: Failure, cause: &'static str) -> Option<Duration> {
        let deadline = self.replay.as_ref()?.deadline();
        let attempt = self.attempts.number;
        let policy = &self.shared.policy;
        match policy.next_wait(failure, attempt, now(), deadline, &mut self.rng) {
            Ok(wait) => {
                trace::retrying(cause, attempt, wait);
                self.attempts.waited = self.attempts.waited.saturating_add(wait);
                Some(wait)
            }
            Err(why) => {
                trace::given_up(cause, attempt, why);
                None
            }
        }
    }

    fn hand_back<RB: Body>(&self, answer: Response<Peeked<RB>>) -> Response<ResponseBody<RB>> {
        let mut answer = answer.map(ResponseBody::new);
        answer.extensions_mut().insert(self.attempts);
        answer
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
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read } => match ready!(read.poll(cx)) {
                    Ok(request) => State::Calling {
                        call: this.course.send(request),
                    },
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error.boxed().into()));
                    }
                },
                StateProj::Readying => match ready!(this.course.service.poll_ready(cx)) {
                    Ok(()) => State::Calling {
                        call: this.course.send_again(),
                    },
                    Err(error) => {
                        this.state.set(State::Done);
                        return Poll::Ready(Err(error.into()));
                    }
                },
                StateProj::Calling { call } => match ready!(call.poll(cx)) {
                    Ok(answer) => State::Judging {
                        judge: judge(answer, &this.course.shared.clock),
                    },
                    Err(error) => {
                        let error = error.into();
                        let Some(wait) = this.course.after_error(&error) else {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(error));
                        };
                        State::Waiting { sleep: sleep(wait) }
                    }
                },
                StateProj::Judging { judge } => {
                    let mut answer = ready!(judge.poll(cx));
                    let Some(wait) = this.course.after_answer(&mut answer) else {
                        this.state.set(State::Done);
                        return Poll::Ready(Ok(this.course.hand_back(answer)));
                    };
                    // Dropped before the sleep: its connection serves others meanwhile.
                    drop(answer);
                    State::Waiting { sleep: sleep(wait) }
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
