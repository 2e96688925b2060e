use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};

use super::{
    Cause, code,
    error_parts::ErrorBody,
    facts::{Facts, cause_of_limit, wait_in_body},
    hint::{self, first},
    hint_header::{RATE_LIMIT_TYPE, X_SHOULD_RETRY, X_SMG_ERROR_CODE},
    words::Words,
};

/// Why an answer is a failure, whether the same request may succeed later, and when.
///
/// # What decides
///
/// The status decides what only it can know. Codes and words say more, and never the contrary: a code or a phrase makes a 5xx, or
/// an event of a stream with status 200, a throttle; it makes no 4xx a failure of the server, and no 429 a bad request. What a
/// minute does not mend is permanent at once: the account, its budget, a window of its plan
/// ([`plan_window`](Self::plan_window)), a call larger than the whole limit.
///
/// Where the words of the message say what happened they go first, then the codes, then the status. A code that is not known
/// ([`is_unknown_code`](Self::is_unknown_code)) changes nothing of that.
///
/// A clone costs one count. `Debug` leaves the message out, since providers repeat keys and prompts in it.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Verdict(Arc<Facts>);

impl Verdict {
    /// Classifies an error answer by its status, its headers and the head of its body, which may be cut short or empty.
    ///
    /// Where the server says itself whether another try may help (`x-should-retry`), it is believed.
    ///
    /// `now` is the present wall time, for hints that are dates.
    pub fn of_response(
        status: StatusCode,
        headers: &HeaderMap,
        head: &[u8],
        now: SystemTime,
    ) -> Self {
        let mut body = ErrorBody::of_head(head);
        if body.code.is_none() && body.kind.is_none() {
            body.code = first(headers, &X_SMG_ERROR_CODE, |text| Some(text.to_owned()));
        }
        let words = Words::of(body.message.as_deref().unwrap_or_default());
        let mut meaning = code::classify(Some(status.as_u16()), &body, &words);
        if meaning.cause == Cause::Throttled
            && let Some(cause) = first(headers, &RATE_LIMIT_TYPE, cause_of_limit)
        {
            meaning.cause = cause;
            meaning.is_of_limit = true;
        }
        let server_time = || hint::server_time(headers, now);
        let in_body = || wait_in_body(&body, &words, meaning, server_time);
        let in_headers = || hint::in_headers(headers, meaning.cause, now);
        // The headers of a gateway know nothing of a plan's window.
        let hint = match meaning.window {
            Some(_) => in_body().or_else(in_headers),
            None => in_headers().or_else(in_body),
        };
        let is_stated = hint.is_in_body;
        let mut facts = Facts::new(Some(status), meaning, hint, Some(now));
        facts.heed_long_wait(meaning, is_stated);
        facts.take_texts(body);
        // Last: the server knows more about itself than any table.
        if let Some(transient) = first(headers, &X_SHOULD_RETRY, should_retry) {
            facts.transient = transient;
        }
        Self(Arc::new(facts))
    }

    /// Classifies an event of a stream by its data, or the body of an answer of status 200; `None` where it is no error.
    ///
    /// `status` is what the event itself states (`:HTTP_STATUS/429`); the code decides before it does. Of several documents that
    /// are glued together, the first that is an error counts.
    ///
    /// Dates are read against the clock of this machine; [`of_event_at`](Self::of_event_at) takes another.
    #[must_use]
    pub fn of_event(data: &[u8], status: Option<u16>) -> Option<Self> {
        // The clock of this crate is behind a feature, and only an error that states a date needs one.
        #[allow(clippy::disallowed_methods)]
        Self::of_document(data, status, None, SystemTime::now, None)
    }

    /// The same, with dates read against `now`, the present wall time.
    #[must_use]
    pub fn of_event_at(data: &[u8], status: Option<u16>, now: SystemTime) -> Option<Self> {
        Self::of_document(data, status, None, || now, Some(now))
    }

    /// Classifies the body of an answer whose status says success, or its head; `None` where it is no error.
    ///
    /// Some hosts and gateways answer so what they mean as a refusal: `{"error":{"code":429}}`. The verdict is that of an answer
    /// with the status that the body states, if it does.
    #[must_use]
    pub fn of_success(headers: &HeaderMap, body: &[u8], now: SystemTime) -> Option<Self> {
        Self::of_document(body, None, Some(headers), || now, Some(now))
    }

    fn of_document(
        data: &[u8],
        status: Option<u16>,
        headers: Option<&HeaderMap>,
        clock: impl Fn() -> SystemTime,
        now: Option<SystemTime>,
    ) -> Option<Self> {
        let body = ErrorBody::of_event(data)?;
        // Some hosts write the status as the code.
        let in_code = body.code.as_deref().and_then(|code| code.parse().ok());
        let in_message = body.message.as_deref().and_then(status_in_front);
        let status = [in_code, body.status, status, in_message]
            .into_iter()
            .flatten()
            .find(|status| (400..600).contains(status))
            .and_then(|status| StatusCode::from_u16(status).ok());
        let words = Words::of(body.message.as_deref().unwrap_or_default());
        let meaning = code::classify(status.map(|it| it.as_u16()), &body, &words);
        let mut hint = wait_in_body(&body, &words, meaning, clock);
        if let (Some(headers), Some(now)) = (headers, now) {
            hint = hint.or_else(|| hint::in_headers(headers, meaning.cause, now));
        }
        let mut facts = Facts::new(status, meaning, hint, now);
        facts.heed_long_wait(meaning, hint.is_in_body);
        facts.take_texts(body);
        Some(Self(Arc::new(facts)))
    }

    /// The verdict where the request asked for an asynchronous task of a model that only answers synchronously: the
    /// provider throttles such a call whenever it comes, so a throttle of requests is permanent.
    pub fn of_async_call(self) -> Self {
        if !matches!(self.cause(), Cause::RequestRate | Cause::Throttled) {
            return self;
        }
        self.with_cause(Cause::AsyncUnsupported)
    }

    /// A verdict of this cause where there is nothing to read: transient where such causes are.
    pub fn of_cause(cause: Cause) -> Self {
        Self(Arc::new(Facts {
            cause,
            transient: cause.is_transient(),
            wait: None,
            until: None,
            plan_window: None,
            is_unknown_code: false,
            has_absurd_wait: false,
            status: None,
            code: None,
            message: None,
        }))
    }

    /// The same verdict with another cause, transient where such causes are: for rules of one's own.
    pub fn with_cause(mut self, cause: Cause) -> Self {
        let facts = Arc::make_mut(&mut self.0);
        facts.cause = cause;
        facts.transient = cause.is_transient();
        facts.plan_window = facts.plan_window.filter(|_| cause == Cause::Account);
        self
    }

    /// The same verdict, transient or not.
    pub fn with_transient(mut self, transient: bool) -> Self {
        Arc::make_mut(&mut self.0).transient = transient;
        self
    }

    /// The same verdict with another wait; `None`: the server names none.
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        let facts = Arc::make_mut(&mut self.0);
        (facts.wait, facts.until) = (wait, None);
        self
    }

    /// Why the call failed.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// Whether the call was throttled; see [`Cause::is_throttle`].
    #[must_use]
    pub fn is_throttle(&self) -> bool {
        self.0.cause.is_throttle()
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// How long the server asks to wait, from the answer's arrival. `None` where it asks for nothing, or says only within which
    /// time another try succeeds ([`retry_within`](Self::retry_within)).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.wait.filter(|_| self.0.cause != Cause::Concurrency)
    }

    /// Within which time another try succeeds, where calls at one time are the cause: a place comes free when another call ends,
    /// which is often long before the wait that the server states.
    #[must_use]
    pub fn retry_within(&self) -> Option<Duration> {
        self.0.wait.filter(|_| self.0.cause == Cause::Concurrency)
    }

    /// The instant until which the server asks to wait, by the clock of this machine. `None` where
    /// [`retry_after`](Self::retry_after) is, or where a wait was read without a clock ([`of_event`](Self::of_event)).
    #[must_use]
    pub fn until(&self) -> Option<SystemTime> {
        self.0.until
    }

    /// How long the window is, of those that the account's plan is counted by, that is used up: five hours, a day, a week or a
    /// month, and a month where the answer does not name it. `None` where no such window is the cause.
    ///
    /// The cause is [`Cause::Account`] and the verdict is permanent: no retry helps this call. But the account comes back by
    /// itself, at [`until`](Self::until) where the answer states an instant, and else within this time.
    #[must_use]
    pub fn plan_window(&self) -> Option<Duration> {
        self.0.plan_window
    }

    /// Whether the answer has a code or a type, and none of them is known here: its words and its status decided alone.
    #[must_use]
    pub fn is_unknown_code(&self) -> bool {
        self.0.is_unknown_code
    }

    /// Whether the answer states a wait that is beyond belief, such as a date in the year 9999, or what a broken clock makes of
    /// one: more than 366 days. It was ignored.
    #[must_use]
    pub fn has_absurd_wait(&self) -> bool {
        self.0.has_absurd_wait
    }

    /// The status: of the answer, or the one that an event inside a stream states.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The provider's code, or the type where there is no code or one that only repeats the status.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's message, at most 4 KiB. It may repeat parts of the request: not for logs.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }
}

/// The status that Model Studio writes before the message of an event: `<429> InternalError.Algo: ...`.
fn status_in_front(message: &str) -> Option<u16> {
    let (status, _) = message.strip_prefix('<')?.split_once('>')?;
    status.parse().ok()
}

fn should_retry(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("cause", &self.0.cause)
            .field("transient", &self.0.transient)
            .field("wait", &self.0.wait)
            .field("until", &self.0.until)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .finish_non_exhaustive()
    }
}
