use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    Cause, Dialect, Usage,
    usage::{Basis, End},
};

use super::{Labels, Tenant};

/// One attempt, as the ledger records it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The model of the request.
    pub model: Arc<str>,
    /// Whose call it was.
    pub tenant: Option<Tenant>,
    /// Further keys to sum up by.
    pub labels: Labels,
    /// The dialect of the request.
    pub dialect: Option<Dialect>,
    /// The tokens.
    pub usage: Usage,
    /// Whether the provider bills it as batch, which costs less.
    pub batch: bool,
    /// The service tier that served it, as the answer names it; `None` for the usual one.
    pub service_tier: Option<Arc<str>>,
    /// What the provider stated, if that cannot be and was not believed.
    pub impossible: Option<Usage>,
    /// Where the counts are from.
    pub basis: Basis,
    /// How the attempt ended.
    pub end: End,
    /// The status of the answer; `None` where no answer came.
    pub status: Option<StatusCode>,
    /// Why the attempt failed, where the answer says it.
    pub cause: Option<Cause>,
    /// The provider's code, where it is not known here: words and status decided alone.
    pub unknown_code: Option<Arc<str>>,
    /// Which send of its call it was, from 1 on: a call that is retried is sent several times. 0 where the call was never sent.
    pub attempt: Option<u32>,
    /// The name of the fallback that it went to.
    pub target: Option<Arc<str>>,
    /// How long the call waited for quota since its attempt before. `None` without an Admission.
    pub queued: Option<Duration>,
    /// How long Retry waited since the attempt before. `None` without a Retry.
    pub retry_wait: Option<Duration>,
    /// From the send to the first part of a streamed answer.
    pub first_token: Option<Duration>,
    /// From the send to the end.
    pub duration: Option<Duration>,
}

impl Entry {
    /// An entry of status 200 without times, tenant and labels, at the usual price.
    #[must_use]
    pub fn new(model: impl Into<Arc<str>>, usage: Usage, basis: Basis, end: End) -> Self {
        Self {
            model: model.into(),
            tenant: None,
            labels: Labels::default(),
            dialect: None,
            usage,
            batch: false,
            service_tier: None,
            impossible: None,
            basis,
            end,
            status: Some(StatusCode::OK),
            cause: None,
            unknown_code: None,
            attempt: None,
            target: None,
            queued: None,
            retry_wait: None,
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

    /// Records it for a tenant. Default: none.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Tenant>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Adds a label, or gives it another value. Default: no labels.
    #[must_use]
    pub fn label(mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        self.labels.insert(key, value);
        self
    }

    /// Why the attempt did not succeed, in a word: the cause or the status of an error answer, `transport` where no answer
    /// came, `body` where it broke off, `cancelled` where the caller dropped it. `None` for a success.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        if let Some(cause) = self.cause {
            return Some(cause.as_str());
        }
        match (&self.status, self.end) {
            (Some(status), _) if self.is_error_answer() => Some(status.as_str()),
            (_, End::Complete) => None,
            (None, End::Failed) => Some("transport"),
            (Some(_), End::Failed) => Some("body"),
            (_, End::Cancelled) => Some("cancelled"),
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
