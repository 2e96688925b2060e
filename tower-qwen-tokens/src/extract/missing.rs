use std::{error::Error, fmt};

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{error_format::ErrorFormat, protocol::rejection::MISCONFIGURED};

/// A handler asks for what no layer has put into the request: answered with 500 in the caller's dialect.
#[derive(Debug, Clone)]
pub struct Missing {
    what: &'static str,
    wording: ErrorFormat,
}

impl Missing {
    /// A layer is missing: a sentence that names it.
    #[must_use]
    pub fn new(what: &'static str, parts: &Parts) -> Self {
        Self {
            what,
            wording: ErrorFormat::of(parts.uri.path(), &parts.headers),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Error for Missing {}

impl IntoResponse for Missing {
    fn into_response(self) -> Response {
        self.wording.error(MISCONFIGURED, self.what).map(Body::from)
    }
}
