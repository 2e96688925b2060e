use std::{error::Error, fmt};

use super::ParseError;

/// Any error, as tower's own middleware hands it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request could not be read. Says nothing of its content.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The caller's body failed.
    Body(E),
    /// A body of unknown length turned out longer than the cap. Its bytes are gone.
    TooLarge {
        /// The cap. Unit: bytes.
        limit: usize,
    },
    /// The body is no request of its dialect.
    Parse(ParseError),
}

impl<E: Into<BoxError>> ReadError<E> {
    /// The same error with the body's own error boxed: what the layers hand on, to be downcast.
    pub fn boxed(self) -> ReadError<BoxError> {
        match self {
            Self::Body(error) => ReadError::Body(error.into()),
            Self::TooLarge { limit } => ReadError::TooLarge { limit },
            Self::Parse(error) => ReadError::Parse(error),
        }
    }
}

impl<E> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(_) => f.write_str("request body failed"),
            Self::TooLarge { limit } => write!(f, "request body is longer than {limit} bytes"),
            Self::Parse(_) => f.write_str("request body cannot be read"),
        }
    }
}

impl Error for ReadError<BoxError> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(error) => Some(&**error),
            Self::TooLarge { .. } => None,
            Self::Parse(error) => Some(error),
        }
    }
}
