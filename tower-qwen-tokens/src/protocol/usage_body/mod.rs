//! The shapes in which hosts state usage.
//!
//! Every field may be missing or `null`, at every level; a value of the wrong type counts as
//! missing. Whole numbers may be written as decimals or as texts. Parts of a total are never added to it,
//! and a zero never stands against a figure.

mod counts;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use counts::{UsageBody, figure, sum, zip};
