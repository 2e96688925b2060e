use std::{error::Error, fmt, io};

use redis::RedisError;

/// Why a store cannot be used.
#[derive(Debug)]
pub struct StoreError(Reason);

#[derive(Debug)]
enum Reason {
    Address(&'static str),
    Unreachable(io::Error),
    Refused(String),
    TooSlow,
    Unsupported(&'static str),
    #[cfg(feature = "redis-tls")]
    Tls(&'static str),
}

impl StoreError {
    /// The address is left out: it may hold a password.
    pub(super) fn address(error: RedisError) -> Self {
        Self(Reason::Address(match error.kind() {
            redis::ErrorKind::InvalidClientConfig => "it is no address of a server",
            _ => "it cannot be read",
        }))
    }

    // No `From`: the client library is no part of the public face.
    pub(super) fn refused(error: RedisError) -> Self {
        Self(Reason::Refused(error.to_string()))
    }

    pub(super) fn too_slow() -> Self {
        Self(Reason::TooSlow)
    }

    pub(super) fn unsupported(what: &'static str) -> Self {
        Self(Reason::Unsupported(what))
    }

    #[cfg(feature = "redis-tls")]
    pub(super) fn tls(what: &'static str) -> Self {
        Self(Reason::Tls(what))
    }

    pub(super) fn unreachable(error: io::Error) -> Self {
        Self(Reason::Unreachable(error))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Address(why) => write!(f, "the address of the store cannot be used: {why}"),
            Reason::Unreachable(_) => f.write_str("the store cannot be reached"),
            Reason::Refused(why) => write!(f, "the store refused: {why}"),
            Reason::TooSlow => f.write_str("the store did not answer in time"),
            #[cfg(feature = "redis-tls")]
            Reason::Tls(what) => write!(f, "TLS to the store cannot be used: {what}"),
            Reason::Unsupported(what) => write!(f, "not supported: {what}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Reason::Unreachable(error) => Some(error),
            _ => None,
        }
    }
}
