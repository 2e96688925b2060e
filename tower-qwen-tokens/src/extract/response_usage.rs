use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::{Call, meter::ResponseUsage};

use super::Missing;

impl<S: Sync> FromRequestParts<S> for ResponseUsage {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Missing> {
        parts.extensions.get().cloned().ok_or_else(|| {
            // Two causes with one effect: name the right one.
            let what = match parts.extensions.get::<Arc<Call>>() {
                Some(call) if call.model_call().is_none() => {
                    "This is no model call, or one that could not be read: its usage is not metered."
                }
                _ => "MeterLayer is missing before this handler.",
            };
            Missing::new(what, parts)
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ResponseUsage {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Missing> {
        Ok(parts.extensions.get().cloned())
    }
}
