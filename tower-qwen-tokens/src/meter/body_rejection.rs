use std::{error::Error, fmt};

use http::StatusCode;

use crate::call::{ParseError, ReadError};

/// Why a request was rejected instead of being sent. It is in the extensions of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyRejection {
    /// The caller's body failed: 400.
    Body,
    /// A body of unknown length turned out longer than the cap: 413.
    TooLarge {
        /// The cap. Unit: bytes.
        limit: usize,
    },
    /// The body is no request of its dialect: 400.
    Parse(ParseError),
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

impl fmt::Display for BodyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("request body failed"),
            Self::TooLarge { limit } => write!(f, "request body is longer than {limit} bytes"),
            Self::Parse(_) => f.write_str("request body cannot be read"),
        }
    }
}

impl Error for BodyRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Parse(error) => Some(error),
            Self::Body | Self::TooLarge { .. } => None,
        }
    }
}
