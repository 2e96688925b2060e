//! The shapes in which hosts state usage.
//!
//! Every field may be missing or `null`, at every level; a value of the wrong type counts as
//! missing. Parts of a total are never added to it.

mod counts;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use counts::UsageBody;
