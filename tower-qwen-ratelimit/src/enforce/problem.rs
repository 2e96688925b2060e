use std::{error::Error, iter::successors};

use bytes::Bytes;
use http::{HeaderMap, Response, header::RETRY_AFTER};
use http_body_util::LengthLimitError;
use tower_qwen_tokens::{
    call::ReadError, error_format::ErrorFormat, meter::BodyRejection, protocol::rejection,
};

use super::rejection::{Rejection, RejectionKind, whole_seconds};
use crate::BoxError;

/// How an answer is to be written: as the caller expects it.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner(ErrorFormat);

impl Manner {
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        Self(ErrorFormat::of(path, headers))
    }

    /// The answer to a call beyond its quota. The messages begin as the provider's own, by which clients tell the two
    /// throttles apart where the code does not.
    pub(super) fn refuse(&self, refusal: Rejection) -> Response<Bytes> {
        let retry_after = refusal.retry_after();
        let limit = refusal.limit();
        let window = whole_seconds(refusal.window());
        let wait = retry_after.unwrap_or_default();
        let (codes, message) = match refusal.kind() {
            RejectionKind::Requests => (
                rejection::REQUESTS,
                format!(
                    "Requests rate limit exceeded: {limit} requests per {window}s. Please try again in {wait}s."
                ),
            ),
            RejectionKind::Tokens => (
                rejection::TOKENS,
                format!(
                    "Allocated quota exceeded: {limit} tokens per {window}s. Please try again in {wait}s."
                ),
            ),
            RejectionKind::TooLarge => (
                rejection::TOO_LARGE,
                format!(
                    "The request needs more than the {limit} tokens per {window}s that its quota has."
                ),
            ),
            RejectionKind::Closed => (
                rejection::CLOSED,
                "There is no quota for this call.".to_owned(),
            ),
        };
        let mut response = self.0.error(codes, &message);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(refusal);
        response
    }

    /// The answer to a call whose body could not be read. One that was too long may have met a limit further out.
    pub(super) fn unread(&self, error: ReadError<BoxError>) -> Response<Bytes> {
        let (codes, message, reason) = match error {
            ReadError::TooLarge { limit } => (
                rejection::TOO_LARGE,
                format!("The request body is longer than {limit} bytes."),
                BodyRejection::TooLarge { limit },
            ),
            ReadError::Body(error) if is_too_long(&*error) => (
                rejection::TOO_LARGE,
                "The request body is too long.".to_owned(),
                BodyRejection::Body,
            ),
            error => (
                rejection::UNREADABLE,
                "The request body cannot be read.".to_owned(),
                match error {
                    ReadError::Parse(error) => BodyRejection::Parse(error),
                    _ => BodyRejection::Body,
                },
            ),
        };
        let mut response = self.0.error(codes, &message);
        response.extensions_mut().insert(reason);
        response
    }
}

/// Whether a body failed since it has passed the limit of a layer such as tower-http's `RequestBodyLimit`.
fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(|error| error.is::<LengthLimitError>())
}
