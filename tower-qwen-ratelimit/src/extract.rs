//! An extractor for handlers of axum 0.8: [`Reserved`].
//!
//! The extractors of the call, its usage and its tenant are in [`tower_qwen_tokens::extract`].

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tower_qwen_tokens::extract::Missing;

use crate::enforce::Reserved;

impl<S: Sync> FromRequestParts<S> for Reserved {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Missing> {
        parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Missing::new("EnforceLayer is missing before this handler.", parts))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Reserved {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Missing> {
        Ok(parts.extensions.get().cloned())
    }
}
