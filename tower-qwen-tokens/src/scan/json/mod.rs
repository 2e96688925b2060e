//! Scans JSON documents as they come, piece by piece, without building a tree of them.

mod document;
mod found;
mod key;
mod position;
mod string;
mod usage_copy;

pub(super) use document::Json;
pub(super) use found::{EventContext, Found};
#[cfg(test)]
pub(super) use {
    document::{MAX_HEAD, MAX_MODEL},
    usage_copy::MAX_USAGE,
};
