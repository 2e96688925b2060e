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

pub use crate::protocol::{code::KNOWN_ERRORS, hint::retry_after};

/// Header names that our crates write.
pub mod header {
    pub use crate::protocol::hint_header::{
        RATELIMIT, RATELIMIT_POLICY, X_RATELIMIT_LIMIT_REQUESTS, X_RATELIMIT_LIMIT_TOKENS,
        X_RATELIMIT_REMAINING_REQUESTS, X_RATELIMIT_REMAINING_TOKENS, X_RATELIMIT_RESET_REQUESTS,
        X_RATELIMIT_RESET_TOKENS, X_STAINLESS_RETRY_COUNT,
    };
}

#[cfg(feature = "http")]
pub use crate::classify::{
    future::{Classify, classify},
    options::RequestContext,
};
