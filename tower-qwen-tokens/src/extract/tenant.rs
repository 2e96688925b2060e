use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::ledger::Tenant;

use super::Missing;

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Missing> {
        parts.extensions.get().cloned().ok_or_else(|| {
            let what = "Nobody has named the tenant: the layer that checks keys is missing before this handler.";
            Missing::new(what, parts)
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Tenant {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Missing> {
        Ok(parts.extensions.get().cloned())
    }
}
