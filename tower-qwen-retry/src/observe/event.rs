use std::time::Duration;

use http::StatusCode;
use tower_qwen_tokens::Cause;

use crate::GiveUp;

/// An event in the life of a call. `model` is empty if the call names none or was not read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RetryEvent<'a> {
    /// An attempt was answered, or failed.
    #[non_exhaustive]
    Attempt {
        /// The model that the call names.
        model: &'a str,
        /// Which attempt it was, from 1 on.
        number: u32,
        /// The answer's status; `None` for an error.
        status: Option<StatusCode>,
        /// Why it failed; `None` for a success, and for an error of unknown kind.
        cause: Option<Cause>,
        /// From sending it to the classification of its answer, waits of an Admission inside
        /// included; `None` if unknown, as with `TowerPolicy`.
        took: Option<Duration>,
    },
    /// The call will be sent again.
    #[non_exhaustive]
    Retry {
        /// The model that the call names.
        model: &'a str,
        /// Which attempt failed.
        number: u32,
        /// Why it failed.
        cause: Cause,
        /// How long Retry waits before the next one.
        wait: Duration,
        /// Whether an Admission inside holds it until its account opens.
        held_by_admission: bool,
    },
    /// The call will not be sent again to this target, although its failure may go away.
    #[non_exhaustive]
    GaveUp {
        /// The model that the call names.
        model: &'a str,
        /// Which attempt failed.
        number: u32,
        /// Why it failed.
        cause: Cause,
        /// Why there is no further attempt.
        why: GiveUp,
    },
    /// The call goes to another target.
    #[non_exhaustive]
    Fallback {
        /// The model of the target before.
        model: &'a str,
        /// Why the target before failed, or why it rests. `None`: a layer inside rejected the call
        /// before it was sent.
        cause: Option<Cause>,
        /// The name of the target; empty for the caller's own.
        to: &'a str,
    },
    /// A target rests: calls keep away from it, but for a probe now and then. Emitted for each failure
    /// that begins or prolongs it.
    #[non_exhaustive]
    CoolDown {
        /// The model that the call names.
        model: &'a str,
        /// The name of the target; empty for the caller's own.
        target: &'a str,
        /// Why.
        cause: Cause,
        /// How long calls keep away, from now on.
        wait: Duration,
    },
}
