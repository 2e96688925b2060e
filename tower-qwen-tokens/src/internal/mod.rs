//! What tower-qwen's own crates share with each other.
//!
//! Not part of the public API: anything here may change in any release. That is why the three
//! crates pin each other's exact version and are released together.

#[cfg(feature = "http")]
pub mod clock;
#[cfg(feature = "http")]
pub(crate) mod content;
#[cfg(feature = "metrics")]
mod label_values;
mod observers;
#[cfg(feature = "http")]
pub(crate) mod peeked_body;

#[cfg(feature = "metrics")]
pub use label_values::LabelValues;
pub use observers::Observers;
#[cfg(feature = "http")]
pub use peeked_body::PeekedBody;

#[cfg(feature = "http")]
pub use crate::classify::{
    future::{Classify, classify},
    options::RequestContext,
};
