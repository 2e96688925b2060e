use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use http::{Extensions, Response, StatusCode};
use tower_qwen_tokens::{
    Call, Cause, Deadline, NotSent, PacedUntil, PlanUsedUp, Verdict,
    internal::{
        chain,
        clock::{Instant, now},
    },
};

use crate::{
    BoxError, GiveUp, RetryEvent, RetryPolicy,
    observe::emit,
    schedule::{Failure, History, requeue_wait},
};

/// The state of one call over all of its attempts, and what each of them means.
///
/// Shared by [`Retry`](crate::Retry) and `TowerPolicy`, which differ only in how they send.
#[derive(Debug, Clone)]
pub(crate) struct CallState {
    /// How often the call was sent.
    pub(crate) attempts: u32,
    history: History,
    /// `None` until the first wait is drawn.
    rng: Option<Rng>,
    /// How many calls of the model had been throttled when this one was, the last time.
    throttles_seen: Option<u64>,
    /// When the latest attempt was sent; `None` without observers, or if it is not known.
    sent_at: Option<Instant>,
}

/// What an attempt has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// A success, or an error of unknown kind: neither a retry nor a fallback is due.
    Final,
    /// A failure that does not go away by waiting.
    Permanent(Permanent),
    /// A layer inside rejected the call before it was sent.
    NotSent {
        cause: Option<Cause>,
        /// Set where the user's rule has it retried here.
        retry: Option<Failure>,
    },
    /// A failure that may go away.
    Transient(Failure),
}

/// A failure that does not go away by waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permanent {
    pub(crate) cause: Cause,
    /// The wait that the server names nevertheless.
    pub(crate) hint: Option<Duration>,
    /// Whether a window of the account's plan is used up.
    pub(crate) is_plan: bool,
}

impl CallState {
    /// The state before the first attempt. Without an `rng` the policy's is used from the first
    /// wait on.
    pub(crate) fn new(rng: Option<Rng>) -> Self {
        Self {
            attempts: 0,
            history: History::default(),
            rng,
            throttles_seen: None,
            sent_at: None,
        }
    }

    /// The latest attempt was not sent after all, and the call goes elsewhere.
    pub(crate) fn forget_attempt(&mut self) {
        self.history.forget_attempt();
    }

    pub(crate) fn attempt_sent(&mut self, at: Option<Instant>) {
        self.attempts = self.attempts.saturating_add(1);
        self.history.attempt_sent();
        self.sent_at = at;
    }

    /// The call goes to a fallback, which has all attempts before it.
    pub(crate) fn fell_back(&mut self) {
        self.history = History::default();
        self.throttles_seen = None;
    }

    /// The attempt was a success.
    pub(crate) fn succeeded(&mut self, policy: &RetryPolicy, model: &str, status: StatusCode) {
        self.emit_attempt(policy, model, Some(status), None);
        let refund = self.history.take_refund();
        // Nearly all calls succeed at the first attempt: they need not write to what all threads
        // share.
        if refund > 0 {
            policy.budget.refund(refund);
        }
    }

    /// The attempt was answered; without a `verdict` it was a success.
    pub(crate) fn answered<RB>(
        &mut self,
        policy: &RetryPolicy,
        model: &str,
        answer: &Response<RB>,
        verdict: Option<&Verdict>,
    ) -> Outcome {
        let Some(verdict) = verdict else {
            self.succeeded(policy, model, answer.status());
            return Outcome::Final;
        };
        let cause = verdict.cause();
        self.emit_attempt(policy, model, Some(answer.status()), Some(cause));
        if !verdict.is_transient() {
            return Outcome::Permanent(Permanent {
                cause,
                hint: verdict.retry_after(),
                is_plan: verdict.plan_window().is_some(),
            });
        }
        // An account may be closed because of other calls, which says nothing about, say, a 500 of
        // this one.
        let closes_account = verdict.is_throttle() || cause == Cause::Unavailable;
        let held = answer.extensions().get::<PacedUntil>();
        let held = held.filter(|_| closes_account).copied();
        Outcome::Transient(Failure {
            hint: verdict.retry_after(),
            ceiling: verdict.retry_within(),
            held_by_admission: held,
            is_shared: held.is_some() && self.is_shared(policy, model),
            ..Failure::of(cause)
        })
    }

    /// The attempt ended with an error of the inner service.
    pub(crate) fn failed(
        &mut self,
        policy: &RetryPolicy,
        model: &str,
        error: &BoxError,
    ) -> Outcome {
        let transient = policy.cause(error.as_ref());
        if let Some(cause) = not_sent(error) {
            self.attempts = self.attempts.saturating_sub(1);
            let retry = transient.map(Failure::of);
            return Outcome::NotSent { cause, retry };
        }
        self.emit_attempt(policy, model, None, transient);
        match transient {
            Some(cause) => Outcome::Transient(Failure::of(cause)),
            None => Outcome::Final,
        }
    }

    /// Counts a throttle of this call; returns whether others of the model were throttled since its last.
    fn is_shared(&mut self, policy: &RetryPolicy, model: &str) -> bool {
        let count = policy.throttles.add(model);
        let before = self.throttles_seen.replace(count);
        before.is_some_and(|before| count.wrapping_sub(before) > 1)
    }

    /// The wait before the next attempt, or why there is none. Charges the retry budget.
    pub(crate) fn next_wait(
        &mut self,
        policy: &RetryPolicy,
        model: &str,
        deadline: Option<Instant>,
        failure: Failure,
    ) -> Result<Duration, GiveUp> {
        let rng = self.rng.get_or_insert_with(|| policy.seeds.rng());
        let wait = policy.next_wait(failure, &mut self.history, now(), deadline, rng);
        if let Err(why) = wait {
            self.gave_up(policy, model, failure.cause, why);
        }
        wait
    }

    /// The call waits, and is sent again.
    pub(crate) fn emit_retry(
        &self,
        policy: &RetryPolicy,
        model: &str,
        failure: Failure,
        wait: Duration,
    ) {
        let event = RetryEvent::Retry {
            model,
            number: self.attempts,
            cause: failure.cause,
            wait,
            held_by_admission: failure.held_by_admission.is_some(),
        };
        emit(&policy.observers, &event);
    }

    /// What the latest retry took out of the retry budget.
    pub(crate) fn charged(&self) -> u32 {
        self.history.charged()
    }

    pub(crate) fn gave_up(&self, policy: &RetryPolicy, model: &str, cause: Cause, why: GiveUp) {
        let event = RetryEvent::GaveUp {
            model,
            number: self.attempts,
            cause,
            why,
        };
        emit(&policy.observers, &event);
    }

    /// A wait until a target is tried again, drawn out a little so that not all come at once.
    pub(crate) fn rest(&mut self, policy: &RetryPolicy, wait: Duration) -> Duration {
        let rng = self.rng.get_or_insert_with(|| policy.seeds.rng());
        requeue_wait(rng).saturating_add(wait)
    }

    fn emit_attempt(
        &self,
        policy: &RetryPolicy,
        model: &str,
        status: Option<StatusCode>,
        cause: Option<Cause>,
    ) {
        // Before the clock is read: without observers this is on the path of every call.
        if policy.observers.is_empty() {
            return;
        }
        let took = |sent_at| now().saturating_duration_since(sent_at);
        let event = RetryEvent::Attempt {
            model,
            number: self.attempts,
            status,
            cause,
            took: self.sent_at.map(took),
        };
        emit(&policy.observers, &event);
    }
}

/// Whether a layer inside rejected the call before it was sent, by the error's chain; with the cause
/// where that is known.
fn not_sent(error: &BoxError) -> Option<Option<Cause>> {
    chain(error.as_ref()).find_map(|error| {
        if error.is::<PlanUsedUp>() {
            return Some(Some(Cause::Account));
        }
        error.is::<NotSent>().then_some(None)
    })
}

/// The model that a call names; empty if none, or if no layer has read the request.
pub(crate) fn model_of(call: Option<&Arc<Call>>) -> &str {
    call.and_then(|call| call.model_call())
        .map_or("", |call| &call.model)
}

/// The deadline in a request's extensions. The one read with the call comes first: Admission obeys
/// it.
pub(crate) fn deadline_of(extensions: &Extensions) -> Option<Instant> {
    let call = extensions.get::<Arc<Call>>();
    call.and_then(|call| call.deadline())
        .or_else(|| extensions.get().copied())
        .map(Deadline::instant)
}
