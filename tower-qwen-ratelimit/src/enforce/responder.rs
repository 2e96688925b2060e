use std::{error::Error, iter::successors};

use bytes::Bytes;
use http::{HeaderMap, Response, header::RETRY_AFTER};
use http_body_util::LengthLimitError;
use tower_qwen_tokens::{
    call::ReadError, error_format::ErrorFormat, meter::BodyRejection, protocol::rejection as codes,
};

use crate::{
    BoxError,
    rejection::{Rejection, RejectionKind, whole_seconds},
};

/// Writes error responses in the dialect of the caller.
#[derive(Debug, Clone, Default)]
pub(super) struct ErrorResponder(ErrorFormat);

impl ErrorResponder {
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        Self(ErrorFormat::of(path, headers))
    }

    /// The response to a call that exceeds its quota.
    pub(super) fn rejected(&self, rejection: Rejection) -> Response<Bytes> {
        let retry_after = rejection.retry_after();
        let limit = rejection.limit;
        let window = whole_seconds(rejection.window);
        let wait = retry_after.unwrap_or_default();
        // The messages begin as the provider's own: by them clients distinguish the two throttles
        // when the code does not.
        let (code, message) = match rejection.kind() {
            RejectionKind::Requests => (
                codes::REQUESTS,
                format!(
                    "Requests rate limit exceeded: {limit} requests per {window}s. Please try again in {wait}s."
                ),
            ),
            RejectionKind::Tokens => (
                codes::TOKENS,
                format!(
                    "Allocated quota exceeded: {limit} tokens per {window}s. Please try again in {wait}s."
                ),
            ),
            RejectionKind::TooLarge => (
                codes::TOO_LARGE,
                format!(
                    "The request needs more than the {limit} tokens per {window}s that its quota has."
                ),
            ),
            RejectionKind::Closed => (codes::CLOSED, "There is no quota for this call.".to_owned()),
        };
        let mut response = self.0.error(code, &message);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(rejection);
        response
    }

    /// The response to a call whose body could not be read.
    pub(super) fn unread_body(&self, error: ReadError<BoxError>) -> Response<Bytes> {
        let (code, message, reason) = match error {
            ReadError::TooLarge { limit } => (
                codes::TOO_LARGE,
                format!("The request body is longer than {limit} bytes."),
                BodyRejection::TooLarge { limit },
            ),
            ReadError::Body(error) if is_too_long(&*error) => (
                codes::TOO_LARGE,
                "The request body is too long.".to_owned(),
                BodyRejection::Body,
            ),
            error => (
                codes::UNREADABLE,
                "The request body cannot be read.".to_owned(),
                match error {
                    ReadError::Parse(error) => BodyRejection::Parse(error),
                    _ => BodyRejection::Body,
                },
            ),
        };
        let mut response = self.0.error(code, &message);
        response.extensions_mut().insert(reason);
        response
    }
}

/// Whether a body failed at the limit of an outer layer such as tower-http's `RequestBodyLimit`.
/// Its error may be wrapped by any number of body adapters, so all sources are searched.
fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(|error| error.is::<LengthLimitError>())
}
