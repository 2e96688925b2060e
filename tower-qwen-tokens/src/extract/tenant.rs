use http::request::Parts;

use crate::ledger::Tenant;

use super::{Missing, extension::extract_extension};

extract_extension!(
    Tenant,
    |parts: &Parts| parts.extensions.get().cloned(),
    |_: &Parts| "Nobody has named the tenant: the layer that checks keys is missing before this handler."
);
