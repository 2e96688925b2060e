use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode};

use super::{
    Cause, code,
    error_body::ErrorBody,
    hint::{self, first},
    hint_header::X_SHOULD_RETRY,
};

/// A throttle of tokens that lasts this long is no throttle: the plan is used up.
// Limits by the minute end within minutes; a wait of a day belongs to a plan.
const PLAN_USED_UP: Duration = Duration::from_secs(86_400);

/// Why an answer is a failure, whether the same request may succeed later, and when.
///
/// A clone costs one count. `Debug` leaves the message out, since providers repeat keys and prompts in it.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Verdict(Arc<Facts>);

#[derive(Clone, PartialEq, Eq)]
struct Facts {
    cause: Cause,
    transient: bool,
    retry_after: Option<Duration>,
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
        let body = ErrorBody::of_head(head);
        let mut facts = Facts::new(Some(status), body, |cause, body| {
            let message = body.message.as_deref().unwrap_or_default();
            hint::retry_after(headers, message, cause, now).or_else(|| {
                let reset = body.reset.as_deref().filter(|_| cause.is_throttle())?;
                hint::reset(reset, hint::server_time(headers, now))
            })
        });
        facts.heed_long_wait();
        // Last: the server knows more about itself than any table.
        if let Some(transient) = first(headers, &X_SHOULD_RETRY, should_retry) {
            facts.transient = transient;
        }
        Self(Arc::new(facts))
    }

    /// Classifies an event of a stream by its data; `None` where it is no error.
    ///
    /// `status` is what the event itself states (`:HTTP_STATUS/429`); the code decides before it does.
    #[must_use]
    pub fn of_event(data: &[u8], status: Option<u16>) -> Option<Self> {
        let body = ErrorBody::of_event(data)?;
        // Some hosts write the status as the code.
        let in_code = body.code.as_deref().and_then(|code| code.parse().ok());
        let status = in_code
            .filter(|status| (400..600).contains(status))
            .or(status.filter(|&status| status >= 400))
            .and_then(|status| StatusCode::from_u16(status).ok());
        let mut facts = Facts::new(status, body, |_, body| {
            hint::in_text(body.message.as_deref().unwrap_or_default())
        });
        facts.heed_long_wait();
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
            retry_after: None,
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
        self
    }

    /// The same verdict, transient or not.
    pub fn with_transient(mut self, transient: bool) -> Self {
        Arc::make_mut(&mut self.0).transient = transient;
        self
    }

    /// The same verdict with another wait; `None`: the server names none.
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        Arc::make_mut(&mut self.0).retry_after = wait;
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

    /// How long the server asks to wait, from the answer's arrival.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The status: of the answer, or the one that an event inside a stream states.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The provider's code, or the type where there is no code.
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

impl Facts {
    fn new(
        status: Option<StatusCode>,
        body: ErrorBody,
        hint: impl FnOnce(Cause, &ErrorBody) -> Option<Duration>,
    ) -> Self {
        let (cause, transient) = code::classify(
            status.map(|status| status.as_u16()),
            [body.code.as_deref(), body.kind.as_deref()],
            body.message.as_deref().unwrap_or_default(),
        );
        Self {
            cause,
            transient,
            retry_after: hint(cause, &body),
            status,
            code: body.code.or(body.kind),
            message: body.message,
        }
    }

    fn heed_long_wait(&mut self) {
        if self.cause == Cause::TokenRate
            && self.retry_after.is_some_and(|wait| wait >= PLAN_USED_UP)
        {
            self.cause = Cause::Account;
            self.transient = false;
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verdict")
            .field("cause", &self.0.cause)
            .field("transient", &self.0.transient)
            .field("retry_after", &self.0.retry_after)
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .finish_non_exhaustive()
    }
}
