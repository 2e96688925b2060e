//! What the gateway answers where the upstream does not, in the caller's dialect.

use std::error::Error;

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::{
    StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use http_body_util::LengthLimitError;
use tower::timeout::error::Elapsed;
use tower_qwen_ratelimit::{RejectKind, Rejected};
use tower_qwen_tokens::{
    Dialect,
    error_format::ErrorFormat,
    protocol::rejection::{
        BAD_GATEWAY, NOT_FOUND, RejectionCodes, TIMED_OUT, TOO_LARGE, UNAVAILABLE,
        UNSUPPORTED_MEDIA,
    },
};

const TOO_LONG: &str = "The request body is too long.";

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
    retry_after: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// More than the upstream grants in a whole window.
    TooLarge,
    /// The caller's body is longer than it may be, which shows only while it is sent.
    TooLong,
    /// No quota of the upstream in time.
    NoQuota,
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
            let seconds = |wait: std::time::Duration| wait.as_secs().saturating_add(1);
            return Self {
                kind: match rejected.kind() {
                    RejectKind::TooLarge => Kind::TooLarge,
                    _ => Kind::NoQuota,
                },
                retry_after: rejected.predicted_wait().map(seconds),
            };
        }
        let is_connect = |error: &hyper_util::client::legacy::Error| error.is_connect();
        let kind = if find::<hyper_util::client::legacy::Error>(error).is_some_and(is_connect) {
            Kind::Away
        } else if find::<LengthLimitError>(error).is_some() {
            Kind::TooLong
        } else if find::<Elapsed>(error).is_some() {
            Kind::TimedOut
        } else {
            Kind::Broken
        };
        Self {
            kind,
            retry_after: None,
        }
    }

    /// Whether the upstream never saw the call, as far as this attempt goes.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self.kind, Kind::TooLarge | Kind::NoQuota | Kind::Away)
    }

    /// The answer to the caller.
    #[must_use]
    pub fn answer(&self, format: &ErrorFormat) -> Response {
        let (codes, message) = match self.kind {
            Kind::TooLarge => (
                TOO_LARGE,
                "The request needs more tokens than the server behind grants in a whole window.",
            ),
            Kind::TooLong => (TOO_LARGE, TOO_LONG),
            Kind::NoQuota => (
                UNAVAILABLE,
                "The server behind has no quota left for this call in time. Please try again later.",
            ),
            Kind::Away => (BAD_GATEWAY, "The server behind cannot be reached."),
            Kind::TimedOut => (TIMED_OUT, "The server behind took too long to answer."),
            Kind::Broken => (
                BAD_GATEWAY,
                "The server behind broke off before it answered.",
            ),
        };
        let mut answer = format.error(codes, message);
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer.map(Body::from)
    }
}

/// Words what tower-http says in plain text or without words: a body that is too long, or compressed in a way that is not
/// decoded here.
pub async fn word(request: Request, next: Next) -> Response {
    let format = error_format(&request);
    let mut answer = next.run(request).await;
    let kind = answer.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| !kind.as_bytes().starts_with(b"text/plain")) {
        return answer;
    }
    // Only the layer that would decode names what it takes.
    let accepted = answer.headers_mut().remove(ACCEPT_ENCODING);
    let (codes, message) = match (answer.status(), &accepted) {
        (StatusCode::PAYLOAD_TOO_LARGE, _) => (TOO_LARGE, TOO_LONG),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some(_)) => (
            UNSUPPORTED_MEDIA,
            "The request is compressed in a way that is not taken here: see the header Accept-Encoding.",
        ),
        _ => return answer,
    };
    let mut answer = format.error(codes, message).map(Body::from);
    if let Some(accepted) = accepted {
        answer.headers_mut().insert(ACCEPT_ENCODING, accepted);
    }
    answer
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

/// The path is there for another method. Who calls this adds `Allow`.
#[must_use]
pub fn method_not_allowed(format: &ErrorFormat) -> Response {
    let message = "This path does not take the method: see the header Allow.";
    format.error(METHOD_NOT_ALLOWED, message).map(Body::from)
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
