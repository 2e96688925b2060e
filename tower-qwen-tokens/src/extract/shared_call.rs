use std::{ops::Deref, sync::Arc};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::Call;

use super::Missing;

/// The call as the first of our layers read it.
#[derive(Debug, Clone)]
pub struct SharedCall(pub Arc<Call>);

impl Deref for SharedCall {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}

fn find(parts: &Parts) -> Option<SharedCall> {
    parts.extensions.get().cloned().map(SharedCall)
}

impl<S: Sync> FromRequestParts<S> for SharedCall {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Missing> {
        find(parts).ok_or_else(|| {
            let what = "Nobody has read the call: EnforceLayer or MeterLayer is missing before this handler.";
            Missing::new(what, parts)
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for SharedCall {
    type Rejection = Missing;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Missing> {
        Ok(find(parts))
    }
}
