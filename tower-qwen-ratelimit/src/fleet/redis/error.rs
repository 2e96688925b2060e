use std::io;

use redis::RedisError;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(StoreFailure);

#[derive(Debug, thiserror::Error)]
enum StoreFailure {
    #[error("the address of the store cannot be used: {0}")]
    Address(&'static str),
    #[error("the store cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("the store rejected: {0}")]
    Rejected(String),
    #[error("the store did not answer in time")]
    TooSlow,
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    #[cfg(feature = "redis-tls")]
    #[error("TLS to the store cannot be used: {0}")]
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
        Self::rejected_with(error.to_string())
    }

    pub(super) fn rejected_with(error: String) -> Self {
        Self(StoreFailure::Rejected(error))
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
