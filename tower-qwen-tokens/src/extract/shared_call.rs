use std::{ops::Deref, sync::Arc};

use http::request::Parts;

use crate::Call;

use super::{Missing, extension::extract_extension};

/// The call as the first of our layers read it.
#[derive(Debug, Clone)]
pub struct SharedCall(pub Arc<Call>);

impl Deref for SharedCall {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}

extract_extension!(
    SharedCall,
    |parts: &Parts| parts.extensions.get().cloned().map(SharedCall),
    |_: &Parts| "Nobody has read the call: EnforceLayer or MeterLayer is missing before this handler."
);
