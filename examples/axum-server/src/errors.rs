//! What the gateway answers where the upstream does not, in the caller's dialect.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderValue, StatusCode, header::ACCEPT_ENCODING};
use tower::timeout::error::Elapsed;
use tower_qwen_ratelimit::{RejectKind, Rejected};
use tower_qwen_retry::CoolingDown;
use tower_qwen_tokens::{
    Dialect,
    error_format::ErrorFormat,
    protocol::rejection::{
        BAD_GATEWAY, NOT_FOUND, RejectionCodes, TIMED_OUT, TOO_LARGE, UNAVAILABLE,
        UNSUPPORTED_MEDIA,
    },
};

use crate::waits;

const TOO_LONG: &str = "The request body is too long.";

/// The caller did not send its body in time.
pub(crate) const REQUEST_TIMED_OUT: RejectionCodes = RejectionCodes {
    status: StatusCode::REQUEST_TIMEOUT,
    compatible: ("invalid_request_error", "request_timeout"),
    native: "RequestTimeOut",
    anthropic: "timeout_error",
};

/// The path is known, the method is not for it.
const METHOD_NOT_ALLOWED: RejectionCodes = RejectionCodes {
    status: StatusCode::METHOD_NOT_ALLOWED,
    compatible: ("invalid_request_error", "method_not_supported"),
    native: "MethodNotAllowed",
    anthropic: "invalid_request_error",
};

/// A call, or an attempt, that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// More than the upstream grants in a whole window.
    TooLarge,
    /// No quota of the upstream in time.
    NoQuota,
    /// A window of the upstream's plan is used up, and ends then.
    PlanUsedUp(Option<SystemTime>),
    /// All upstreams with the model have failed, and calls keep away from them.
    Resting,
    /// The upstream cannot be reached.
    Away,
    TimedOut,
    Broken,
}

impl Failure {
    /// What became of a call, by the client's error.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if let Some(rejected) = find::<Rejected>(error) {
            let kind = match rejected.kind() {
                RejectKind::TooLarge => Kind::TooLarge,
                RejectKind::PlanUsedUp => Kind::PlanUsedUp(rejected.until()),
                _ => Kind::NoQuota,
            };
            return Self {
                kind,
                wait: match kind {
                    Kind::PlanUsedUp(None) => Some(waits::PLAN_PROBE),
                    _ => rejected.predicted_wait(),
                },
            };
        }
        if let Some(resting) = find::<CoolingDown>(error) {
            return Self {
                kind: Kind::Resting,
                wait: resting.not_sent().predicted_wait(),
            };
        }
        let is_connect = |error: &hyper_util::client::legacy::Error| error.is_connect();
        let kind = if find::<hyper_util::client::legacy::Error>(error).is_some_and(is_connect) {
            Kind::Away
        } else if find::<Elapsed>(error).is_some() {
            Kind::TimedOut
        } else {
            Kind::Broken
        };
        Self { kind, wait: None }
    }

    /// A call that has waited as long as it may.
    #[must_use]
    pub fn waited() -> Self {
        Self {
            kind: Kind::NoQuota,
            wait: None,
        }
    }

    /// The same, for a call whose latest attempt could not reach the upstream: what it waited for was not quota.
    #[must_use]
    pub fn of_away(mut self, is_away: bool) -> Self {
        if is_away && self.kind == Kind::NoQuota {
            self.kind = Kind::Away;
        }
        self
    }

    /// Whether the upstream cannot be reached.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.kind == Kind::Away
    }

    /// The same, with the wait for the upstream where that is the reason and nobody has said so.
    #[must_use]
    pub fn or_wait(mut self, predicted: impl FnOnce() -> Option<Duration>) -> Self {
        if matches!(self.kind, Kind::NoQuota | Kind::Away) && self.wait.is_none() {
            self.wait = Some(predicted().unwrap_or_default());
        }
        self
    }

    /// Whether the upstream never saw the call, as far as this attempt goes.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(
            self.kind,
            Kind::TooLarge | Kind::NoQuota | Kind::PlanUsedUp(_) | Kind::Resting | Kind::Away
        )
    }

    /// The answer to the caller.
    #[must_use]
    pub fn answer(&self, format: &ErrorFormat) -> Response {
        let until_text;
        let (codes, message) = match self.kind {
            Kind::TooLarge => (
                TOO_LARGE,
                "The request needs more tokens than the server behind grants in a whole window.",
            ),
            Kind::NoQuota => (
                UNAVAILABLE,
                "The server behind has no quota left for this call in time. Please try again later.",
            ),
            Kind::PlanUsedUp(until) => {
                until_text = plan_message(until);
                (UNAVAILABLE, &*until_text)
            }
            Kind::Resting => (
                UNAVAILABLE,
                "All servers behind have failed and are left alone for a time. Please try again later.",
            ),
            Kind::Away => (BAD_GATEWAY, "The server behind cannot be reached."),
            Kind::TimedOut => (TIMED_OUT, "The server behind took too long to answer."),
            Kind::Broken => (
                BAD_GATEWAY,
                "The server behind broke off before it answered.",
            ),
        };
        let mut answer = format.error(codes, message).map(Body::from);
        if let Some(wait) = self.wait {
            waits::come_back(&mut answer, wait);
        }
        answer
    }
}

/// Words the gateway's answers to a request: in the dialect of its path, or else in that of the API that the path is in.
#[must_use]
pub fn error_format(request: &Request) -> ErrorFormat {
    // ErrorFormat knows a dialect by a path alone: one model call of each API that does not word errors as the compatible one.
    const APIS: [(&str, &str); 2] = [
        ("/api/", "/text-generation/generation"),
        ("/apps/anthropic/", "/v1/messages"),
    ];
    let path = request.uri().path();
    let api = APIS.iter().find(|(api, _)| path.starts_with(api));
    let path = match (Dialect::of_path(path), api) {
        (None, Some((_, call))) => call,
        _ => path,
    };
    ErrorFormat::of(path, request.headers())
}

/// Nothing is at this path.
#[must_use]
pub fn not_found(format: &ErrorFormat) -> Response {
    let message = "There is nothing at this path: model calls and the list of models are passed on, by their exact paths.";
    format.error(NOT_FOUND, message).map(Body::from)
}

/// The body is longer than it may be.
#[must_use]
pub fn too_long(format: &ErrorFormat) -> Response {
    format.error(TOO_LARGE, TOO_LONG).map(Body::from)
}

/// The body is compressed in a way that is not decoded here; these are.
#[must_use]
pub fn unknown_coding(format: &ErrorFormat, accepted: &'static str) -> Response {
    let message = "The request is compressed in a way that is not taken here: see the header Accept-Encoding.";
    let mut answer = format.error(UNSUPPORTED_MEDIA, message).map(Body::from);
    let accepted = HeaderValue::from_static(accepted);
    answer.headers_mut().insert(ACCEPT_ENCODING, accepted);
    answer
}

/// The path is there for another method. Who calls this adds `Allow`.
#[must_use]
pub fn method_not_allowed(format: &ErrorFormat) -> Response {
    let message = "This path does not take the method: see the header Allow.";
    format.error(METHOD_NOT_ALLOWED, message).map(Body::from)
}

/// Says until when, where the provider does.
fn plan_message(until: Option<SystemTime>) -> String {
    let until = until.map_or(String::new(), |until| {
        format!(" until {}", httpdate::fmt_http_date(until))
    });
    format!("The plan of the server behind is used up{until}. Please try again then.")
}

/// The first error of a type along the chain of sources.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
