use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{error_format::ErrorFormat, protocol::rejection::MISCONFIGURED};

/// An extractor found nothing because no layer has put it into the request. Becomes a 500 in the
/// caller's dialect.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub struct Missing {
    what: &'static str,
    error_format: ErrorFormat,
}

impl Missing {
    /// `what` is a sentence that names the missing layer.
    #[must_use]
    pub fn new(what: &'static str, parts: &Parts) -> Self {
        Self {
            what,
            error_format: ErrorFormat::of(parts.uri.path(), &parts.headers),
        }
    }
}

impl IntoResponse for Missing {
    fn into_response(self) -> Response {
        self.error_format
            .error(MISCONFIGURED, self.what)
            .map(Body::from)
    }
}
