use std::{error::Error, iter::successors};

use bytes::Bytes;
use http::{HeaderMap, Response, header::RETRY_AFTER};
use http_body_util::LengthLimitError;
use tower_qwen_tokens::{call::ReadError, meter::Unread, protocol::refusal, wording::Wording};

use super::refusal::{Refusal, RefusalKind, whole_seconds};
use crate::BoxError;

/// How an answer is to be written: as the caller expects it.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner(Wording);

impl Manner {
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        Self(Wording::of(path, headers))
    }

    /// The answer to a call beyond its quota. The messages begin as the provider's own, by which clients tell the two
    /// throttles apart where the code does not.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let retry_after = refusal.retry_after();
        let limit = refusal.limit();
        let window = whole_seconds(refusal.window());
        let wait = retry_after.unwrap_or_default();
        let (codes, message) = match refusal.kind() {
            RefusalKind::Requests => (
                refusal::REQUESTS,
                format!(
                    "Requests rate limit exceeded: {limit} requests per {window}s. Please try again in {wait}s."
                ),
            ),
            RefusalKind::Tokens => (
                refusal::TOKENS,
                format!(
                    "Allocated quota exceeded: {limit} tokens per {window}s. Please try again in {wait}s."
                ),
            ),
            RefusalKind::TooLarge => (
                refusal::TOO_LARGE,
                format!(
                    "The request needs more than the {limit} tokens per {window}s that its quota has."
                ),
            ),
            RefusalKind::Closed => (
                refusal::CLOSED,
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
                refusal::TOO_LARGE,
                format!("The request body is longer than {limit} bytes."),
                Unread::TooLarge { limit },
            ),
            ReadError::Body(error) if is_too_long(&*error) => (
                refusal::TOO_LARGE,
                "The request body is too long.".to_owned(),
                Unread::Body,
            ),
            error => (
                refusal::UNREADABLE,
                "The request body cannot be read.".to_owned(),
                match error {
                    ReadError::Parse(error) => Unread::Parse(error),
                    _ => Unread::Body,
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
