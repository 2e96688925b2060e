use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    Cause, Usage,
    usage::{Basis, End},
};

/// One attempt, as the ledger books it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The model that was asked.
    pub model: Arc<str>,
    /// The tokens.
    pub usage: Usage,
    /// What they stand on.
    pub basis: Basis,
    /// How the attempt ended.
    pub end: End,
    /// The status of the answer; `None` where no answer came.
    pub status: Option<StatusCode>,
    /// Why the attempt failed, where the answer told.
    pub cause: Option<Cause>,
    /// From the send to the first part of a streamed answer.
    pub first_token: Option<Duration>,
    /// From the send to the end.
    pub duration: Option<Duration>,
}

impl Entry {
    /// An entry of status 200 without times.
    #[must_use]
    pub fn new(model: impl Into<Arc<str>>, usage: Usage, basis: Basis, end: End) -> Self {
        Self {
            model: model.into(),
            usage,
            basis,
            end,
            status: Some(StatusCode::OK),
            cause: None,
            first_token: None,
            duration: None,
        }
    }

    /// An attempt that brought no answer: it failed on the way or was dropped.
    #[must_use]
    pub fn unanswered(model: impl Into<Arc<str>>, end: End) -> Self {
        Self {
            status: None,
            ..Self::new(model, Usage::default(), Basis::Unknown, end)
        }
    }

    /// Whether the answer was an error: by its status, or by an error event inside a stream.
    #[must_use]
    pub fn is_error_answer(&self) -> bool {
        self.cause.is_some()
            || self
                .status
                .is_some_and(|status| status.is_client_error() || status.is_server_error())
    }
}
