use std::sync::Arc;

use http::request::Parts;

use crate::{Call, meter::ResponseUsage};

use super::{Missing, extension::extract_extension};

extract_extension!(
    ResponseUsage,
    |parts: &Parts| parts.extensions.get().cloned(),
    // Two causes with one effect: name the right one.
    |parts: &Parts| match parts.extensions.get::<Arc<Call>>() {
        Some(call) if call.model_call().is_none() => {
            "This is no model call, or one that could not be read: its usage is not metered."
        }
        _ => "MeterLayer is missing before this handler.",
    }
);
