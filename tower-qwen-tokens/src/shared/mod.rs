//! What several modules of this crate, and through [`internal`](crate::internal) our other crates,
//! stand on.

pub mod calendar;
#[cfg(feature = "http")]
pub mod clock;
#[cfg(feature = "http")]
pub(crate) mod content;
pub(crate) mod errors;
#[cfg(feature = "metrics")]
pub(crate) mod label_values;
pub(crate) mod lock;
pub(crate) mod observers;
#[cfg(feature = "http")]
pub(crate) mod peeked_body;
#[cfg(feature = "metrics")]
pub(crate) mod recorder_handles;
#[cfg(feature = "http")]
pub(crate) mod timer;

#[cfg(feature = "metrics")]
pub(crate) use label_values::LabelValues;
pub(crate) use lock::lock;
#[cfg(feature = "http")]
pub(crate) use peeked_body::PeekedBody;
#[cfg(feature = "metrics")]
pub(crate) use recorder_handles::RecorderHandles;

/// What figures call all names that have no place of their own in them.
pub(crate) const OTHER: &str = "(other)";
