//! What tower-qwen's own crates share with each other.
//!
//! Not part of the public API: anything here may change in any release. That is why the three
//! crates pin each other's exact version and are released together.

#[cfg(feature = "metrics")]
pub use crate::shared::{label_values::LabelValues, recorder_handles::RecorderHandles};
#[cfg(feature = "http")]
pub use crate::{
    call::{
        facts::{CallFacts, SendMark, SendingLayer, WaitKind, WaitingCall},
        running::RunningCall,
    },
    classify::{
        future::{Classify, classify},
        options::{HoldJson, RequestContext},
    },
    shared::{
        clock,
        peeked_body::PeekedBody,
        timer::{MovingTimer, Registered},
    },
};
pub use crate::{
    macros::{inner_accessors, opaque_debug},
    protocol::{hint::retry_after, known_errors::KNOWN_ERRORS},
    shared::{
        calendar,
        errors::{chain, was_never_begun},
        observers::Observers,
    },
};

/// What OpenTelemetry's conventions for generative AI call things, and how we name what has no convention.
#[cfg(feature = "metrics")]
pub mod gen_ai {
    pub use crate::ledger::{
        metrics_sink::{PROVIDER, operation},
        series::{COST, DURATION, FIRST, TOKENS},
    };
}

/// Header names that our crates write.
pub mod header {
    pub use crate::protocol::hint_header::{
        RATELIMIT, RATELIMIT_POLICY, X_RATELIMIT_LIMIT_REQUESTS, X_RATELIMIT_LIMIT_TOKENS,
        X_RATELIMIT_REMAINING_REQUESTS, X_RATELIMIT_REMAINING_TOKENS, X_RATELIMIT_RESET_REQUESTS,
        X_RATELIMIT_RESET_TOKENS, X_SHOULD_RETRY, X_STAINLESS_RETRY_COUNT,
    };
}
