use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_qwen_tokens::{
    Call, Cause, Verdict,
    classify::{ClassifyOptions, FirstEvent},
    internal::{Classify, PeekedBody, RequestContext, clock::now},
};
use tower_service::Service;

use super::{ResponseBody, replay::Replay, settings::Settings, target::Target};
use crate::{
    BoxError, Fallback, GiveUp, RetryEvent,
    observe::emit,
    state::{CallState, Outcome},
};

/// Sends the attempts of one call through the inner service.
pub(super) struct Driver<S> {
    pub(super) service: S,
    settings: Arc<Settings>,
    classify_options: ClassifyOptions,
    pub(super) state: CallState,
    target: Target,
}

/// What the future does after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Wait, then send again.
    Wait(Duration),
    /// Send again without a wait, to a fallback.
    Send,
    /// Return the outcome to the caller.
    Return,
}

impl<S> Driver<S> {
    pub(super) fn new(service: S, settings: Arc<Settings>) -> Self {
        settings.policy.budget.deposit();
        Self {
            service,
            classify_options: ClassifyOptions::default(),
            // Drawn for every call, retried or not, so that a seed gives the same waits to the same
            // calls.
            state: CallState::new(Some(settings.policy.seeds.rng())),
            target: Target::default(),
            settings,
        }
    }

    /// Sends the first attempt.
    pub(super) fn send<B>(&mut self, mut request: Request<B>) -> S::Future
    where
        S: Service<Request<B>>,
    {
        let policy = &self.settings.policy;
        let call = Call::of(&request).cloned();
        let model_call = call.as_ref().and_then(|call| call.model_call());
        let may_repeat = policy.max_attempts > 1 || !policy.fallbacks.is_empty();
        // A stream is held back only if an error at its beginning could be retried.
        let streams = may_repeat && model_call.is_some_and(|call| call.stream);
        if may_repeat && model_call.is_some() {
            // Of JSON with a status of 200 the layers inside need not know: Retry reads its head itself.
            let own = request.extensions().get::<ClassifyOptions>();
            self.classify_options = own.cloned().unwrap_or_else(|| {
                let options = policy.classify_options.clone();
                // Who asked for no stream does not wait for its first event.
                options.first_event(FirstEvent::within(Duration::ZERO))
            });
        }
        if let Some(options) = policy.classify_options(streams) {
            let extensions = request.extensions_mut();
            self.classify_options = extensions.get_or_insert_with(|| options.clone()).clone();
        }
        if may_repeat {
            self.target.original = Replay::new(&request, call.as_ref());
        }
        self.target.call = call;
        self.attempt_sent();
        self.service.call(request)
    }

    /// Sends a further attempt.
    pub(super) fn send_again<B>(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: From<Bytes>,
    {
        let replay = self.target.replay();
        let replay = replay.expect("only a repeatable call is sent again");
        let marker = self.settings.policy.marker.as_ref();
        let request = replay.request(marker, self.state.attempts.number);
        self.attempt_sent();
        self.service.call(request)
    }

    fn attempt_sent(&mut self) {
        // Reading the clock is a good part of what the layer costs, so only for observers.
        let observed = !self.settings.policy.observers.is_empty();
        self.state.attempt_sent(observed.then(now));
    }

    /// Whether this answer needs no classification.
    pub(super) fn passes<RB>(&self, answer: &Response<RB>) -> bool {
        self.classify_options.pass(answer)
    }

    /// Classifies an answer, with all that the request says about it.
    pub(super) fn classify<RB: Body>(&self, answer: Response<RB>) -> Classify<RB> {
        let context = match &self.target.original {
            Some(original) => original.request_context(),
            None => RequestContext::default(),
        };
        let context = context.by(self.classify_options.clone());
        context.classify(answer, &self.settings.clock)
    }

    /// Notes an answer that needs no classification: no step follows.
    pub(super) fn after_success(&mut self, status: StatusCode) {
        let (policy, model) = (&self.settings.policy, self.target.model());
        self.state.succeeded(policy, model, status);
    }

    /// The step after an answer that was classified.
    pub(super) fn after_answer<RB>(&mut self, answer: &Response<RB>) -> NextStep {
        let (policy, model) = (&self.settings.policy, self.target.model());
        let verdict = answer.extensions().get::<Verdict>();
        let outcome = self.state.answered(policy, model, answer, verdict);
        self.next_step(outcome)
    }

    /// The step after an error of the inner service.
    pub(super) fn after_error(&mut self, error: &BoxError) -> NextStep {
        let (policy, model) = (&self.settings.policy, self.target.model());
        let outcome = self.state.failed(policy, model, error);
        self.next_step(outcome)
    }

    fn next_step(&mut self, outcome: Outcome) -> NextStep {
        let policy = &self.settings.policy;
        match outcome {
            Outcome::Final => NextStep::Return,
            // First: what cannot be sent again must neither charge the retry budget nor count as
            // given up.
            _ if !self.target.is_repeatable(policy) => NextStep::Return,
            Outcome::Permanent(cause) => self.fall_back(cause, |fallback| fallback.accepts(cause)),
            Outcome::Transient(failure) => {
                let (model, deadline) = (self.target.model(), self.target.deadline());
                match self.state.next_wait(policy, model, deadline, failure) {
                    Ok(wait) => NextStep::Wait(wait),
                    // A wait of more than the longest allowed is as good as permanent: any fallback
                    // may help.
                    Err(GiveUp::RetryAfter) => self.fall_back(failure.cause, |_| true),
                    Err(_) => self.fall_back(failure.cause, Fallback::accepts_after_retries),
                }
            }
        }
    }

    /// Goes on to the next fallback that accepts the call, if any.
    fn fall_back(&mut self, cause: Cause, accepts: impl Fn(&Fallback) -> bool) -> NextStep {
        let policy = &self.settings.policy;
        let Some((fallback, number, redirected)) = self.target.next_fallback(policy, accepts)
        else {
            return NextStep::Return;
        };
        // Before the redirection: the event names the model that has failed.
        let (model, to) = (self.target.model(), &*fallback.name);
        let event = RetryEvent::Fallback { model, cause, to };
        emit(&policy.observers, &event);
        self.target.redirect(redirected);
        self.state.fell_back(number);
        NextStep::Send
    }

    /// The answer as the caller gets it.
    pub(super) fn finish<RB: Body>(
        &self,
        answer: Response<PeekedBody<RB>>,
    ) -> Response<ResponseBody<RB>> {
        let mut answer = answer.map(ResponseBody::new);
        answer.extensions_mut().insert(self.state.attempts);
        answer
    }
}
