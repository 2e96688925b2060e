use std::{error::Error, fmt, io};

use redis::RedisError;

/// Why a store cannot be used.
#[derive(Debug)]
pub struct StoreError(StoreFailure);

#[derive(Debug)]
enum StoreFailure {
    Address(&'static str),
    Unreachable(io::Error),
    Rejected(String),
    TooSlow,
    Unsupported(&'static str),
    #[cfg(feature = "redis-tls")]
    Tls(&'static str),
}

impl StoreError {
    /// The address is left out: it may hold a password.
    pub(super) fn address(error: RedisError) -> Self {
        Self(StoreFailure::Address(match error.kind() {
            redis::ErrorKind::InvalidClientConfig => "it is no address of a server",
            _ => "it cannot be read",
        }))
    }

    // No `From`: the client library is no part of the public API.
    pub(super) fn rejected(error: RedisError) -> Self {
        Self(StoreFailure::Rejected(error.to_string()))
    }

    pub(super) fn too_slow() -> Self {
        Self(StoreFailure::TooSlow)
    }

    pub(super) fn unsupported(what: &'static str) -> Self {
        Self(StoreFailure::Unsupported(what))
    }

    #[cfg(feature = "redis-tls")]
    pub(super) fn tls(what: &'static str) -> Self {
        Self(StoreFailure::Tls(what))
    }

    pub(super) fn unreachable(error: io::Error) -> Self {
        Self(StoreFailure::Unreachable(error))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            StoreFailure::Address(why) => {
                write!(f, "the address of the store cannot be used: {why}")
            }
            StoreFailure::Unreachable(_) => f.write_str("the store cannot be reached"),
            StoreFailure::Rejected(why) => write!(f, "the store rejected: {why}"),
            StoreFailure::TooSlow => f.write_str("the store did not answer in time"),
            #[cfg(feature = "redis-tls")]
            StoreFailure::Tls(what) => write!(f, "TLS to the store cannot be used: {what}"),
            StoreFailure::Unsupported(what) => write!(f, "not supported: {what}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            StoreFailure::Unreachable(error) => Some(error),
            _ => None,
        }
    }
}
