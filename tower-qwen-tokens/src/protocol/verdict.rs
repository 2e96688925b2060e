use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};

use super::{
    Cause, code,
    code::Meaning,
    error_body::ErrorBody,
    hint::{self, Hint, first},
    hint_header::{RATE_LIMIT_TYPE, X_SHOULD_RETRY, X_SMG_ERROR_CODE},
    hint_words::wait_in,
    words::Words,
};

/// A throttle of tokens that lasts this long is no throttle: the plan is used up.
// Limits by the minute end within minutes; a wait of a day belongs to a plan.
const PLAN_USED_UP: Duration = Duration::from_secs(86_400);
/// The same where the body itself states the wait.
// A host that writes an instant into its words means the window of a plan; the shortest are hours.
const STATED_PLAN: Duration = Duration::from_secs(3_600);

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

#[derive(Clone, PartialEq, Eq)]
struct Facts {
    cause: Cause,
    transient: bool,
    /// The wait as stated; a ceiling where calls at one time are the cause.
    wait: Option<Duration>,
    until: Option<SystemTime>,
    plan_window: Option<Duration>,
    is_unknown_code: bool,
    has_absurd_wait: bool,
    status: Option<StatusCode>,
    code: Option<String>,
    message: Option<String>,
}

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
        let mut meaning = code::classify(Some(status.as_u16()), &body.codes(), &words);
        if meaning.cause == Cause::Throttled
            && let Some(cause) = first(headers, &RATE_LIMIT_TYPE, cause_of_limit)
        {
            meaning.cause = cause;
        }
        let server_time = || hint::server_time(headers, now);
        let in_body = || wait_in_body(&body, &words, meaning.cause, server_time);
        let in_headers = || hint::in_headers(headers, meaning.cause, now);
        // The headers of a gateway know nothing of a plan's window.
        let hint = match meaning.window {
            Some(_) => in_body().or_else(in_headers),
            None => in_headers().or_else(in_body),
        };
        let is_stated = hint.is_in_body;
        let mut facts = Facts::new(Some(status), meaning, hint, Some(now));
        facts.heed_long_wait(is_stated);
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
        Self::of_event_by(data, status, SystemTime::now, None)
    }

    /// The same, with dates read against `now`, the present wall time.
    #[must_use]
    pub fn of_event_at(data: &[u8], status: Option<u16>, now: SystemTime) -> Option<Self> {
        Self::of_event_by(data, status, || now, Some(now))
    }

    fn of_event_by(
        data: &[u8],
        status: Option<u16>,
        clock: impl Fn() -> SystemTime,
        now: Option<SystemTime>,
    ) -> Option<Self> {
        let body = ErrorBody::of_event(data)?;
        // Some hosts write the status as the code.
        let in_code = body.code.as_deref().and_then(|code| code.parse().ok());
        let status = [in_code, body.status, status]
            .into_iter()
            .flatten()
            .find(|status| (400..600).contains(status))
            .and_then(|status| StatusCode::from_u16(status).ok());
        let words = Words::of(body.message.as_deref().unwrap_or_default());
        let meaning = code::classify(status.map(|it| it.as_u16()), &body.codes(), &words);
        let hint = wait_in_body(&body, &words, meaning.cause, clock);
        let mut facts = Facts::new(status, meaning, hint, now);
        facts.heed_long_wait(hint.is_in_body);
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

fn should_retry(text: &str) -> Option<bool> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The cause by LiteLLM's name of the limit that a call met.
fn cause_of_limit(text: &str) -> Option<Cause> {
    match text {
        "requests" => Some(Cause::RequestRate),
        "tokens" => Some(Cause::TokenRate),
        "max_parallel_requests" => Some(Cause::Concurrency),
        _ => None,
    }
}

/// The wait that a body states, in a member of its own or in its words.
fn wait_in_body(
    body: &ErrorBody,
    words: &Words<'_>,
    cause: Cause,
    now: impl Fn() -> SystemTime,
) -> Hint {
    let inner = body.inner.as_deref().and_then(|inner| inner.wait.as_ref());
    let members = [body.wait.as_ref(), inner].into_iter().flatten();
    // Reset headers come with every answer. They are a wait only where a limit is the cause.
    let members = members.filter(|wait| !wait.is_reset || cause.is_throttle());
    let in_members = members.fold(Hint::default(), |hint, wait| hint.or(|| wait.read(&now)));
    let hint = in_members.or(|| wait_in(words, &now));
    Hint {
        is_in_body: hint.wait.is_some(),
        ..hint
    }
}

impl Facts {
    fn new(
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

    fn heed_long_wait(&mut self, is_stated: bool) {
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
    fn take_texts(&mut self, body: ErrorBody) {
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
