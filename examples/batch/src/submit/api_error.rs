//! Why a call of the Batch API brought nothing, and what that means for its job.

use std::{fmt, io, time::Duration};

use http::StatusCode;
use tower_qwen_tokens::Verdict;

use crate::{
    failures::short,
    fatal::{Fatal, FatalReason},
};

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No call can succeed.
    Fatal(Fatal),
    /// There is no such file or job.
    Missing(String),
    /// Later it may succeed: the provider is busy. It did nothing.
    Later(Option<Duration>, String),
    /// Nobody knows what the provider did: no whole answer came.
    Lost(String),
    /// The provider does not do this.
    Refused(String),
    /// A file here cannot be read or written.
    Io(io::Error),
}

impl ApiError {
    /// Of a call to a path without an id: then the host has no Batch API.
    pub(super) fn of_path(self, path: &str) -> Self {
        match self {
            Self::Missing(said) => Self::Fatal(
                Fatal {
                    reason: FatalReason::Path,
                    said,
                    model: String::new(),
                    path: String::new(),
                }
                .of("", path),
            ),
            other => other,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal(fatal) => fatal.fmt(f),
            Self::Missing(said) | Self::Later(_, said) | Self::Lost(said) | Self::Refused(said) => {
                f.write_str(said)
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// What an answer without success means.
pub(super) fn of_verdict(verdict: &Verdict, status: StatusCode) -> ApiError {
    let status = verdict.status().unwrap_or(status);
    let message = verdict.message().unwrap_or_default();
    let said = format!("{} {}", status.as_u16(), short(message));
    if verdict.is_throttle() {
        return ApiError::Later(verdict.retry_after(), said);
    }
    if verdict.is_transient() {
        // A gateway that gave up, say: what is behind it may have done what was asked.
        return ApiError::Lost(said);
    }
    match Fatal::of_verdict(verdict, status) {
        Some(fatal) if fatal.reason.is_of_all() => ApiError::Fatal(fatal),
        _ if status == StatusCode::NOT_FOUND => ApiError::Missing(said),
        _ => ApiError::Refused(said),
    }
}
