//! Scans JSON documents as they come, piece by piece, without building a tree of them.

mod choices;
mod document;
mod key;
mod position;
mod string;
mod usage_copy;

pub(super) use document::{EventContext, Found, Json};
#[cfg(test)]
pub(super) use {
    document::{MAX_HEAD, MAX_MODEL},
    usage_copy::MAX_USAGE,
};
