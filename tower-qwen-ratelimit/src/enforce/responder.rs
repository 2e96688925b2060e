use std::{error::Error, iter::successors};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::RETRY_AFTER};
use http_body_util::LengthLimitError;
use tower_qwen_tokens::{
    call::{ParseErrorKind, ReadError},
    error_format::ErrorFormat,
    internal::header::X_SHOULD_RETRY,
    meter::BodyRejection,
    protocol::rejection::{self as codes, RejectionCodes},
};

use crate::{
    BoxError,
    budget::{BudgetError, BudgetExceeded},
    rejection::{Rejection, RejectionKind, retry_after},
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
        let limit = rejection.limit();
        let wait = retry_after.unwrap_or_default();
        // The messages begin as the provider's own: by them clients distinguish the two throttles
        // when the code does not.
        let (code, message) = match rejection.kind() {
            RejectionKind::Requests => (
                codes::REQUESTS,
                format!("Requests rate limit exceeded: {limit}. Please try again in {wait}s."),
            ),
            RejectionKind::Tokens => (
                codes::TOKENS,
                format!("Allocated quota exceeded: {limit}. Please try again in {wait}s."),
            ),
            RejectionKind::TooLarge => (
                codes::TOO_LARGE,
                format!("The request needs more than the {limit} that its quota has."),
            ),
            RejectionKind::Closed => (codes::CLOSED, "There is no quota for this call.".to_owned()),
            // No fault of the caller's, and it may go again.
            RejectionKind::StoreAway => (
                RejectionCodes {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    ..codes::REQUESTS
                },
                "The store of the quotas is away.".to_owned(),
            ),
        };
        let mut response = self.0.error(code, &message);
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(rejection);
        response
    }

    /// The response to a call that does not fit into a budget, or that none can count.
    pub(super) fn over_budget(&self, error: BudgetError, status: StatusCode) -> Response<Bytes> {
        let (codes, message) = match &error {
            BudgetError::Exceeded(exceeded) => exceeded_codes(exceeded, status),
            // No fault of the caller's, and it may go again.
            #[cfg(feature = "redis")]
            BudgetError::StoreAway { .. } => (
                RejectionCodes {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    ..codes::BUDGET
                },
                "The store of the budgets is away.".to_owned(),
            ),
            BudgetError::NoRate { .. } | BudgetError::NoPrice { .. } => {
                (codes::CLOSED, format!("{error}."))
            }
        };
        let mut response = self.0.error(codes, &message);
        let headers = response.headers_mut();
        // Client libraries retry a 429 at once, and again; a budget does not change in seconds.
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static("false"));
        if let Some(wait) = error.wait() {
            headers.insert(RETRY_AFTER, retry_after(wait).into());
        }
        response.extensions_mut().insert(error);
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
            ReadError::Parse(error) if error.kind() == ParseErrorKind::ModelTwice => (
                codes::UNREADABLE,
                "The request body has `model` twice: name one model.".to_owned(),
                BodyRejection::Parse(error),
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

/// What is said of a call that does not fit into a budget. Not what is spent: a group's is the business of others too.
fn exceeded_codes(exceeded: &BudgetExceeded, status: StatusCode) -> (RejectionCodes, String) {
    let BudgetExceeded {
        owner,
        limit,
        period,
        needed,
        ..
    } = exceeded;
    // A budget of nothing rejects calls of any size.
    let is_closed = limit.is_zero();
    if exceeded.is_too_large() && !is_closed {
        let message = format!(
            "This call may need up to {needed}, more than the whole budget of {limit} ({period}) of {owner} allows: \
             state max_tokens, or a smaller one."
        );
        return (codes::TOO_LARGE, message);
    }
    let status = match exceeded.wait {
        // It never fits, and a 429 would say that it does later.
        None if status == StatusCode::TOO_MANY_REQUESTS => StatusCode::FORBIDDEN,
        _ => status,
    };
    // "Budget exceeded" are the words by which clients know it from a throttle of the same status.
    let message = if is_closed || exceeded.is_used_up() {
        format!("Budget exceeded: {limit} ({period}) of {owner}.")
    } else {
        format!(
            "This call may need up to {needed}, more than what is left of the budget of {limit} ({period}) of {owner}: \
             with a smaller max_tokens it may fit."
        )
    };
    let codes = RejectionCodes {
        status,
        ..codes::BUDGET
    };
    (codes, message)
}

/// Whether a body failed at the limit of an outer layer such as tower-http's `RequestBodyLimit`.
/// Its error may be wrapped by any number of body adapters, so all sources are searched.
fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(|error| error.is::<LengthLimitError>())
}
