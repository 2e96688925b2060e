use std::time::Duration;

use http::StatusCode;
use tower_qwen_tokens::Cause;

use crate::GiveUp;

/// Something that happened to a call. `model` is empty where the call names none or was not read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RetryEvent<'a> {
    /// An attempt was answered, or failed.
    #[non_exhaustive]
    Attempt {
        /// The model asked for.
        model: &'a str,
        /// Which attempt it was, from 1 on.
        number: u32,
        /// The answer's status; `None` where none came.
        status: Option<StatusCode>,
        /// Why it failed; `None` where it did not, and where an error is of no kind that is known.
        cause: Option<Cause>,
        /// From its send, the wait of an Admission inside included, until its head was classified; `None` where that is not
        /// known.
        took: Option<Duration>,
    },
    /// It is going to be sent again.
    #[non_exhaustive]
    Retry {
        /// The model asked for.
        model: &'a str,
        /// Which attempt failed.
        number: u32,
        /// Why.
        cause: Cause,
        /// How long Retry waits before the next one.
        wait: Duration,
        /// Whether an account inside holds it until its time has come.
        paced: bool,
    },
    /// It is not going to be sent again, although its failure may go away.
    #[non_exhaustive]
    GaveUp {
        /// The model asked for.
        model: &'a str,
        /// Which attempt failed.
        number: u32,
        /// Why.
        cause: Cause,
        /// What speaks against another one.
        why: GiveUp,
    },
    /// It goes to another target.
    #[non_exhaustive]
    Fallback {
        /// The model asked for so far.
        model: &'a str,
        /// Why that failed.
        cause: Cause,
        /// The name of the target.
        to: &'a str,
    },
}
