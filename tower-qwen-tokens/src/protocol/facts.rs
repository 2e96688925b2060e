//! What a verdict is made of.

use std::time::{Duration, SystemTime};

use http::StatusCode;

use super::{
    Cause, code::Meaning, error_parts::ErrorBody, hint::Hint, hint_words::wait_in, words::Words,
};

/// A throttle of tokens that lasts this long is no throttle: the plan is used up.
// Limits by the minute end within minutes; a wait of a day belongs to a plan.
const PLAN_USED_UP: Duration = Duration::from_secs(86_400);
/// The same where the body itself states the wait.
// A host that writes an instant into its words means the window of a plan; the shortest are hours.
const STATED_PLAN: Duration = Duration::from_secs(3_600);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) cause: Cause,
    pub(super) transient: bool,
    /// The wait as stated; a ceiling where calls at one time are the cause.
    pub(super) wait: Option<Duration>,
    pub(super) until: Option<SystemTime>,
    pub(super) plan_window: Option<Duration>,
    pub(super) is_unknown_code: bool,
    pub(super) has_absurd_wait: bool,
    pub(super) status: Option<StatusCode>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
}

/// The cause by LiteLLM's name of the limit that a call met.
pub(super) fn cause_of_limit(text: &str) -> Option<Cause> {
    match text {
        "requests" => Some(Cause::RequestRate),
        "tokens" => Some(Cause::TokenRate),
        "max_parallel_requests" => Some(Cause::Concurrency),
        _ => None,
    }
}

/// The wait that a body states, in a member of its own or in its words.
///
/// A throttle closes the account for as long as its wait, so where the words of the message alone say that it is one, they do
/// not say how long: they may be the caller's.
pub(super) fn wait_in_body(
    body: &ErrorBody,
    words: &Words<'_>,
    meaning: Meaning,
    now: impl Fn() -> SystemTime,
) -> Hint {
    let cause = meaning.cause;
    let is_believed = meaning.is_of_limit || !cause.is_throttle();
    let inner = body.inner.as_deref().filter(|_| is_believed);
    let inner = inner.and_then(|inner| inner.wait.as_ref());
    let members = [body.wait.as_ref(), inner].into_iter().flatten();
    // Reset headers come with every answer. They are a wait only where a limit is the cause.
    let members = members.filter(|wait| !wait.is_reset || cause.is_throttle());
    let in_members = members.fold(Hint::default(), |hint, wait| hint.or(|| wait.read(&now)));
    let hint = in_members.or(|| is_believed.then(|| wait_in(words, &now))?);
    Hint {
        is_in_body: hint.wait.is_some(),
        ..hint
    }
}

impl Facts {
    pub(super) fn new(
        status: Option<StatusCode>,
        meaning: Meaning,
        hint: Hint,
        now: Option<SystemTime>,
    ) -> Self {
        Self {
            cause: meaning.cause,
            transient: meaning.cause.is_transient(),
            wait: hint.wait,
            until: now.and_then(|now| now.checked_add(hint.wait?)),
            plan_window: meaning.window,
            is_unknown_code: meaning.is_unknown_code,
            has_absurd_wait: hint.is_absurd,
            status,
            code: None,
            message: None,
        }
    }

    pub(super) fn heed_long_wait(&mut self, meaning: Meaning, is_stated: bool) {
        if !meaning.is_of_limit {
            return;
        }
        let is_rate = matches!(self.cause, Cause::Throttled | Cause::RequestRate);
        let longest = match self.cause {
            Cause::TokenRate if !is_stated => PLAN_USED_UP,
            _ if is_stated && (is_rate || self.cause == Cause::TokenRate) => STATED_PLAN,
            _ => return,
        };
        if let Some(wait) = self.wait.filter(|wait| *wait >= longest) {
            self.cause = Cause::Account;
            self.transient = false;
            self.plan_window = Some(wait);
        }
    }

    /// Takes the texts that the verdict shows.
    pub(super) fn take_texts(&mut self, body: ErrorBody) {
        let says_more = |text: &String| {
            let status = self.status.map(|status| status.as_u16());
            text.parse()
                .ok()
                .is_none_or(|number: u16| Some(number) != status)
        };
        let inner = body.inner.map(|inner| *inner).unwrap_or_default();
        let mut own = [body.code, body.kind, inner.code, inner.kind];
        let best = own
            .iter()
            .position(|text| text.as_ref().is_some_and(says_more));
        let best = best.or_else(|| own.iter().position(Option::is_some));
        self.code = best.and_then(|best| own[best].take());
        self.message = body.message;
    }
}
