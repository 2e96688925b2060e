use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_qwen_tokens::{
    Call, Cause, Verdict,
    classify::{ClassifyOptions, FirstEvent},
    internal::{
        Classify, HoldJson, PeekedBody, RequestContext, RunningCall, SendingLayer, WaitKind,
        WaitingCall, chain,
        clock::{Instant, now},
        was_never_begun,
    },
};
use tower_service::Service;

use super::{ResponseBody, replay::Replay, router::Router, settings::Settings, target::Target};
use crate::{
    BoxError, CoolingDown, GiveUp,
    cool_down::Closed,
    state::{CallState, Outcome},
};

/// A call that waits for a target in cool-down looks this often whether a probe has opened one.
// Each look costs a timer and a lock; a second is short beside the answers of models.
const RECHECK: Duration = Duration::from_secs(1);

/// Sends the attempts of one call through the inner service.
pub(super) struct Driver<S> {
    pub(super) service: S,
    pub(super) settings: Arc<Settings>,
    classify_options: ClassifyOptions,
    pub(super) state: CallState,
    pub(super) target: Target,
    /// Whether the call has its first target.
    pub(super) is_routed: bool,
    /// Whether it went to a target in spite of its rejections: each call does so once.
    pub(super) has_gone_in_spite: bool,
    /// Since when it waits for one.
    resting_since: Option<Instant>,
    /// The wait under way.
    waiting: Option<WaitingCall>,
    /// `None` until the request was read, and when all is over.
    running: Option<RunningCall>,
}

/// What the future does before the first attempt of a call that has several targets.
pub(super) enum Route {
    Send,
    /// All targets rest.
    Wait(Duration),
    /// All targets rest, and for too long.
    Fail(CoolingDown),
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
            is_routed: true,
            has_gone_in_spite: false,
            resting_since: None,
            waiting: None,
            running: None,
            settings,
        }
    }

    /// Sends the first attempt; `None` if the call has to be [routed](Self::route) before.
    pub(super) fn send<B>(&mut self, mut request: Request<B>) -> Option<S::Future>
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
            let own = request.extensions().get::<ClassifyOptions>().cloned();
            if own.is_none() && policy.classify_options.holds_json() {
                // An error in JSON with a status of 200 is one for Admission too: it has to be told, and costs nothing.
                request.extensions_mut().insert(HoldJson);
            }
            self.classify_options = own.unwrap_or_else(|| {
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
        self.running = call.as_ref().map(|call| RunningCall::new(call.report()));
        if let Some(running) = &self.running {
            running.facts().enter(SendingLayer::Retry);
        }
        self.target.call = call;
        // Most calls have one target, or their own is as good as any.
        if !policy.fallbacks.is_empty() && self.target.is_repeatable(policy) {
            if policy.members.is_some() || !self.settings.cool_downs.is_empty() {
                self.is_routed = false;
                return None;
            }
            self.target.begin_waits(policy);
            self.target.limit_wait(&mut request);
        }
        self.attempt_sent();
        Some(self.service.call(request))
    }

    /// Finds the first target of a call.
    pub(super) fn route(&mut self) -> Route {
        let settings = Arc::clone(&self.settings);
        let (policy, now) = (&settings.policy, now());
        let Some(original) = &self.target.original else {
            self.is_routed = true;
            return Route::Send;
        };
        let router = Router::new(&settings, original, now);
        let chosen = router.first().or_else(|resting| {
            let in_spite = match self.has_gone_in_spite {
                false => router.in_spite_of_rejections(&resting),
                true => None,
            };
            self.has_gone_in_spite |= in_spite.is_some();
            in_spite.ok_or(resting)
        });
        match chosen {
            Ok(chosen) => {
                self.is_routed = true;
                if let Some(leave) = chosen.after {
                    self.emit_fallback(chosen.number, leave.cause());
                }
                self.target.go_to(chosen, policy);
                Route::Send
            }
            Err(resting) => match resting.first() {
                Some(closed) => self.rest(closed, now),
                // Cannot be: a call that found no target has come by one that rests.
                None => Route::Send,
            },
        }
    }

    /// All targets rest: the call waits for the first of them, or fails.
    fn rest(&mut self, closed: Closed, now: Instant) -> Route {
        match self.rest_until(closed.until, now) {
            Ok(wait) => Route::Wait(wait),
            Err(why) => {
                let policy = &self.settings.policy;
                let cause = closed.leave.cause().unwrap_or(Cause::Other);
                self.state.gave_up(policy, self.target.model(), cause, why);
                Route::Fail(CoolingDown::new(closed.until, cause))
            }
        }
    }

    /// The call waits for a target that opens then, unless that is too long. Looks again before, since a probe may open it.
    pub(super) fn rest_until(&mut self, until: Instant, now: Instant) -> Result<Duration, GiveUp> {
        let policy = &self.settings.policy;
        let is_after = |end: Option<Instant>| end.is_some_and(|end| until > end);
        let since = *self.resting_since.get_or_insert(now);
        if is_after(self.target.deadline()) {
            return Err(GiveUp::Deadline);
        }
        if is_after(since.checked_add(policy.patience)) {
            return Err(GiveUp::Patience);
        }
        let wait = until.saturating_duration_since(now);
        let wait = self.state.rest(policy, wait.min(RECHECK));
        self.begin_wait(wait);
        Ok(wait)
    }

    /// The call waits here.
    pub(super) fn begin_wait(&mut self, wait: Duration) {
        // Not for what has no length: what Admission inside will hold waits there.
        let running = self.running.as_ref().filter(|_| !wait.is_zero());
        self.waiting = running.map(|running| running.facts().wait(WaitKind::Backoff));
    }

    /// The wait before the next attempt is over.
    pub(super) fn waited(&mut self) {
        self.waiting = None;
    }

    /// The call's outcome is the caller's: the future may be kept for long after.
    pub(super) fn end(&mut self) {
        self.running = None;
    }

    /// Sends a further attempt.
    pub(super) fn send_again<B>(&mut self) -> S::Future
    where
        S: Service<Request<B>>,
        B: From<Bytes>,
    {
        // Only now: the answer of the target before is gone, and the ledger's line of it with it.
        if mem::take(&mut self.target.has_changed)
            && let Some(running) = &self.running
        {
            let fallback = self.settings.policy.target(self.target.number);
            let name = fallback.map(|fallback| Arc::clone(&fallback.name));
            running.facts().redirect(name);
        }
        let replay = self.target.replay();
        let replay = replay.expect("only a repeatable call is sent again");
        let marker = self.settings.policy.marker.as_ref();
        let mut request = replay.request(marker, self.state.attempts);
        self.target.limit_wait(&mut request);
        self.attempt_sent();
        self.service.call(request)
    }

    fn attempt_sent(&mut self) {
        // Reading the clock is a good part of what the layer costs, so only for observers.
        let observed = !self.settings.policy.observers.is_empty();
        self.state.attempt_sent(observed.then(now));
        if let Some(running) = &self.running {
            running.facts().sent(SendingLayer::Retry);
        }
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
        self.target_succeeded();
    }

    /// The step after an answer that was classified.
    pub(super) fn after_answer<RB>(&mut self, answer: &Response<RB>) -> NextStep {
        let (policy, model) = (&self.settings.policy, self.target.model());
        let verdict = answer.extensions().get::<Verdict>();
        let outcome = self.state.answered(policy, model, answer, verdict);
        if verdict.is_none() {
            self.target_succeeded();
        }
        // A redirection is no error, and no answer of a model either.
        if (verdict.is_some() || answer.status().is_redirection())
            && let Some(running) = &self.running
        {
            running.facts().failed(SendingLayer::Retry);
        }
        self.next_step(outcome)
    }

    /// The step after an error of the inner service.
    pub(super) fn after_error(&mut self, error: &BoxError) -> NextStep {
        let (policy, model) = (&self.settings.policy, self.target.model());
        let outcome = self.state.failed(policy, model, error);
        if let Some(running) = &self.running {
            if matches!(outcome, Outcome::NotSent { .. }) {
                running.facts().not_sent(SendingLayer::Retry);
            } else if chain(error.as_ref()).any(was_never_begun) {
                running.facts().never_begun(SendingLayer::Retry);
            }
        }
        self.next_step(outcome)
    }

    /// The answer as the caller gets it.
    pub(super) fn finish<RB: Body>(
        &self,
        answer: Response<PeekedBody<RB>>,
    ) -> Response<ResponseBody<RB>> {
        let mut answer = answer.map(ResponseBody::new);
        if let Some(running) = &self.running {
            running.attach(answer.extensions_mut());
        }
        answer
    }
}
