//! Scans JSON documents as they come, piece by piece, without building a tree of them.

mod choices;
mod compared;
mod document;
mod found;
mod position;
mod string;
mod thoughts;
mod usage;
mod usage_copy;
mod verdict;

pub(super) use document::Json;
pub(super) use found::Found;
pub(super) use verdict::EventContext;
#[cfg(test)]
pub(super) use {
    document::{MAX_HEAD, MAX_MODEL},
    usage_copy::MAX_USAGE,
};
