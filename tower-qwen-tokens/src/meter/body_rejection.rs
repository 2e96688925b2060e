use http::StatusCode;

use crate::call::{ParseError, ReadError};

/// Why a request was rejected instead of being sent. It is in the extensions of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyRejection {
    /// The caller's body failed: 400.
    #[error("request body failed")]
    Body,
    /// A body of unknown length turned out longer than the cap: 413.
    #[error("request body is longer than {limit} bytes")]
    TooLarge {
        /// The cap. Unit: bytes.
        limit: usize,
    },
    /// The body is no request of its dialect: 400.
    #[error("request body cannot be read")]
    Parse(#[source] ParseError),
}

impl BodyRejection {
    pub(super) fn of<E>(error: ReadError<E>) -> Self {
        match error {
            ReadError::Body(_) => Self::Body,
            ReadError::TooLarge { limit } => Self::TooLarge { limit },
            ReadError::Parse(error) => Self::Parse(error),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Body | Self::Parse(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}
