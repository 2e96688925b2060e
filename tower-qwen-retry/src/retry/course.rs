use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_qwen_tokens::{
    Call, Cause, PacedUntil, Verdict,
    classify::ClassifyOptions,
    internal::{
        Classify, PeekedBody, RequestContext,
        clock::{Instant, now},
    },
};
use tower_service::Service;

use super::{ResponseBody, layer::Shared, replay::Replay};
use crate::{
    Attempts, BoxError, Fallback, GiveUp, RetryEvent, RetryPolicy,
    observe::emit,
    schedule::{Failure, History},
};

/// What lasts from attempt to attempt.
pub(super) struct Course<S> {
    pub(super) service: S,
    pub(super) shared: Arc<Shared>,
    classify_options: ClassifyOptions,
    pub(super) attempts: Attempts,
    history: History,
    rng: Rng,
    call: Option<Arc<Call>>,
    /// `None` until the request was read, and where it may not be sent again.
    replay: Option<Replay>,
    /// The same for the fallback that the call has gone to.
    redirected: Option<Box<Replay>>,
    /// Fallbacks that were taken or passed over.
    fallbacks: usize,
    /// When the attempt under way went out; `None` where nobody wants to know.
    sent: Option<Instant>,
}

/// What comes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, after this wait.
    Wait(Duration),
    /// Another one at once.
    Send,
    /// Its outcome is the caller's.
    HandBack,
}

impl<S> Course<S> {
    pub(super) fn new(service: S, shared: Arc<Shared>) -> Self {
        shared.policy.budget.deposit();
        Self {
            service,
            classify_options: ClassifyOptions::default(),
            attempts: Attempts::NONE,
            history: History::default(),
            rng: shared.policy.seeds.rng(),
            shared,
            call: None,
            replay: None,
            redirected: None,
            fallbacks: 0,
            sent: None,
        }
    }

    /// Sends the first attempt.
    pub(super) fn send<B>(&mut self, mut request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        let policy = &self.shared.policy;
        self.call = Call::of(&request).cloned();
        let model_call = self.call.as_ref().and_then(|call| call.model_call());
        let may_repeat = policy.max_attempts > 1 || !policy.fallbacks.is_empty();
        let streams = may_repeat && model_call.is_some_and(|call| call.stream);
        if let Some(options) = policy.classify_options(streams) {
            let extensions = request.extensions_mut();
            self.classify_options = extensions.get_or_insert_with(|| options.clone()).clone();
        }
        if may_repeat {
            self.replay = Replay::keep(&request, self.call.as_ref());
        }
        self.goes_out();
        self.service.call(request)
    }

    /// Sends a further attempt.
    pub(super) fn send_again<B>(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: From<Bytes>,
    {
        let replay = self.redirected.as_deref().or(self.replay.as_ref());
        let replay = replay.expect("only a call that was kept is sent again");
        let marker = self.shared.policy.marker.as_ref();
        let request = replay.request(marker, self.attempts.number);
        self.goes_out();
        self.service.call(request)
    }

    fn goes_out(&mut self) {
        self.attempts.number = self.attempts.number.saturating_add(1);
        self.history.attempt_sent();
        let observed = !self.shared.policy.observers.is_empty();
        self.sent = observed.then(now);
    }

    /// Whether there is nothing to classify in this answer.
    pub(super) fn passes<RB>(&self, answer: &Response<RB>) -> bool {
        self.classify_options.pass(answer)
    }

    /// Classifies an answer, by all that the request says.
    pub(super) fn classify<RB: Body>(&self, answer: Response<RB>) -> Classify<RB> {
        let context = match &self.replay {
            Some(replay) => replay.request_context(),
            None => RequestContext::default().by(self.classify_options.clone()),
        };
        context.classify(answer, &self.shared.clock)
    }

    /// What comes after an answer that was classified.
    pub(super) fn after_answer<RB>(&mut self, answer: &Response<RB>) -> Next {
        let verdict = answer.extensions().get::<Verdict>();
        self.tell_attempt(Some(answer.status()), verdict.map(Verdict::cause));
        let Some(verdict) = verdict else {
            let refund = self.history.take_refund();
            if refund > 0 {
                self.shared.policy.budget.refund(refund);
            }
            return Next::HandBack;
        };
        let cause = verdict.cause();
        if !verdict.is_transient() {
            return self.fall_back(cause, |fallback| fallback.mends(cause));
        }
        // Whatever else an account may be closed for says nothing of this failure.
        let can_pace = verdict.is_throttle() || cause == Cause::Unavailable;
        let paced = answer.extensions().get::<PacedUntil>().filter(|_| can_pace);
        self.after(Failure {
            cause,
            hint: verdict.retry_after(),
            held_by_admission: paced.copied(),
        })
    }

    /// What comes after an error of the inner service.
    pub(super) fn after_error(&mut self, error: &BoxError) -> Next {
        let cause = self.shared.policy.cause(error.as_ref());
        self.tell_attempt(None, cause);
        let Some(cause) = cause else {
            return Next::HandBack;
        };
        self.after(Failure {
            cause,
            hint: None,
            held_by_admission: None,
        })
    }

    fn after(&mut self, failure: Failure) -> Next {
        let policy = &self.shared.policy;
        let Some(replay) = repeatable(self.replay.as_ref(), policy) else {
            return Next::HandBack;
        };
        let (now, deadline) = (now(), replay.deadline());
        let wait = policy.next_wait(failure, &mut self.history, now, deadline, &mut self.rng);
        match wait {
            Ok(wait) => {
                self.attempts.waited = self.attempts.waited.saturating_add(wait);
                self.tell(|model, number| RetryEvent::Retry {
                    model,
                    number,
                    cause: failure.cause,
                    wait,
                    paced: failure.held_by_admission.is_some(),
                });
                Next::Wait(wait)
            }
            Err(why) => {
                self.tell(|model, number| RetryEvent::GaveUp {
                    model,
                    number,
                    cause: failure.cause,
                    why,
                });
                self.fall_back(failure.cause, |fallback| {
                    why == GiveUp::RetryAfter || fallback.takes_over()
                })
            }
        }
    }

    /// Goes on to the next fallback that takes the call, if there is one.
    fn fall_back(&mut self, cause: Cause, takes: impl Fn(&Fallback) -> bool) -> Next {
        let policy = &self.shared.policy;
        let Some(replay) = repeatable(self.replay.as_ref(), policy) else {
            return Next::HandBack;
        };
        while let Some(fallback) = policy.fallbacks.get(self.fallbacks) {
            self.fallbacks += 1;
            if !takes(fallback) {
                continue;
            }
            let Some(redirected) = replay.to(fallback) else {
                continue;
            };
            let fallback = Arc::clone(fallback);
            self.tell(|model, _| RetryEvent::Fallback {
                model,
                cause,
                to: fallback.name(),
            });
            self.redirected = Some(Box::new(redirected));
            self.history = History::default();
            self.attempts.fallback = u32::try_from(self.fallbacks).unwrap_or(u32::MAX);
            return Next::Send;
        }
        Next::HandBack
    }

    pub(super) fn hand_back<RB: Body>(
        &self,
        answer: Response<PeekedBody<RB>>,
    ) -> Response<ResponseBody<RB>> {
        let mut answer = answer.map(ResponseBody::new);
        answer.extensions_mut().insert(self.attempts);
        answer
    }

    fn tell_attempt(&self, status: Option<StatusCode>, cause: Option<Cause>) {
        let Some(sent) = self.sent else { return };
        let took = now().saturating_duration_since(sent);
        self.tell(|model, number| RetryEvent::Attempt {
            model,
            number,
            status,
            cause,
            took: Some(took),
        });
    }

    fn tell<'a>(&'a self, event: impl FnOnce(&'a str, u32) -> RetryEvent<'a>) {
        let RetryPolicy { observers, .. } = &self.shared.policy;
        if observers.is_empty() {
            return;
        }
        let model = match (&self.redirected, &self.call) {
            (Some(redirected), _) => redirected.model(),
            (None, Some(call)) => call.model_call().map_or("", |call| &call.model),
            (None, None) => "",
        };
        emit(observers, &event(model, self.attempts.number));
    }
}

/// What was kept of a call, unless it is the retry of a retrier further out.
fn repeatable<'a>(replay: Option<&'a Replay>, policy: &RetryPolicy) -> Option<&'a Replay> {
    let nested = |replay: &Replay| {
        let marker = policy.marker.as_ref();
        marker.is_some_and(|marker| replay.is_retry(marker))
    };
    replay.filter(|replay| !nested(replay))
}
