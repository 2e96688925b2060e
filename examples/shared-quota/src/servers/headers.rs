//! What a call says of itself on its way from the storm to the provider.

use http::{HeaderMap, HeaderName};

/// Whose it is.
pub(crate) const TENANT: HeaderName = HeaderName::from_static("x-tenant");
/// When the storm sent it, by the clock of the storm. Unit: microseconds.
pub(crate) const SENT: HeaderName = HeaderName::from_static("x-sent");
/// What the server has reserved for it. Unit: tokens.
pub(crate) const RESERVED: HeaderName = HeaderName::from_static("x-reserved");

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    text(headers, name)?.parse().ok()
}
