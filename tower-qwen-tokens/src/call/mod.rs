//! The request, read once.
//!
//! The first of our layers that meets a request collects its body, reads it and puts an `Arc<Call>` into the request's
//! extensions. The later ones find it there, retried attempts included, so that a retried call keeps its place.

mod ceiling;
mod counting;
mod deadline;
mod edit;
mod include_usage;
mod other_model;
mod read;
mod request_body;
mod rewrite;
mod signed;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use crate::{
    Dialect,
    estimate::{Calibration, Estimated},
    internal::clock::Instant,
};

pub(crate) use ceiling::Ceiling;
pub use deadline::Deadline;
pub(crate) use edit::{JsonEdit, replaced};
pub use read::{ReadCall, ReadError, ReadOptions};
pub use request_body::{ParseError, ParseErrorKind};
pub(crate) use rewrite::{may_rewrite, rewrite};
pub(crate) use signed::is_signed;

/// Any error, as tower's own middleware hands it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One logical call: its arrival, its body and what was read from it.
///
/// Lives in the request's extensions as `Arc<Call>` and travels with every attempt.
pub struct Call {
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) body: Option<Bytes>,
    /// The body that asks for usage, written at the first attempt that wants it; `None` where it cannot ask.
    pub(crate) asking_body: OnceLock<Option<Bytes>>,
    pub(crate) model_call: Option<ModelCall>,
    /// What the prompt's true count goes to.
    pub(crate) calibration: Option<Calibration>,
}

/// What a body asks of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelCall {
    /// The dialect of the request.
    pub dialect: Dialect,
    /// The model, as written; empty where the request names none.
    pub model: Arc<str>,
    /// Whether the answer comes as a stream.
    pub stream: bool,
    /// Whether the caller asked for usage in a compatible stream (`stream_options.include_usage`).
    pub include_usage: bool,
    /// How many answers are asked for (`n`). Default: 1.
    pub choices: u32,
    /// Tokens of the prompt: the estimate, corrected by what earlier calls of its kind really had.
    pub input_tokens: u64,
    /// Tokens to set aside for the prompt: more than those, until its kind of call is calibrated.
    pub cautious_input_tokens: u64,
    /// The estimate itself, before any correction.
    pub estimated: Estimated,
    /// The most tokens that one answer may have, as the request itself limits it; `None` where it does not.
    pub output_ceiling: Option<u64>,
}

/// Declares that the request's body is not to be collected: too precious to hold, or of unknown end.
///
/// Put into the request's extensions by the caller. The body passes untouched, at the cost of an unread call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UnbufferedBody;

impl Call {
    /// The call that one of our layers read earlier.
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Option<&Arc<Self>> {
        request.extensions().get()
    }

    /// When the first of our layers met the request.
    #[must_use]
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// When the caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// The request's body, byte for byte; `None` where it was left unread (too large to hold, or not a model call).
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The body with `stream_options.include_usage`; `None` where that does not fit in. One copy serves all attempts.
    pub(crate) fn asking_body(&self) -> Option<&Bytes> {
        self.asking_body
            .get_or_init(|| include_usage::with_usage(self.body.as_ref()?))
            .as_ref()
    }

    /// The same call with another body, whose ceiling of one answer is this.
    pub(crate) fn rewritten(&self, body: Bytes, output_ceiling: u64) -> Self {
        self.with_body(body, |call| ModelCall {
            output_ceiling: Some(output_ceiling),
            ..call
        })
    }

    /// The same call with a body that asks for usage.
    pub(crate) fn asking(&self, body: Bytes) -> Self {
        self.with_body(body, |call| ModelCall {
            include_usage: true,
            ..call
        })
    }

    fn with_body(&self, body: Bytes, change: impl FnOnce(ModelCall) -> ModelCall) -> Self {
        Self {
            arrived: self.arrived,
            deadline: self.deadline,
            body: Some(body),
            asking_body: OnceLock::new(),
            model_call: self.model_call.clone().map(change),
            calibration: self.calibration.clone(),
        }
    }

    /// Takes in how many tokens the prompt really had.
    pub(crate) fn learn_input(&self, actual: u64) {
        if let (Some(calibration), Some(call)) = (&self.calibration, &self.model_call) {
            let Estimated { tokens, script } = call.estimated;
            calibration.learn(&call.model, script, tokens, actual);
        }
    }

    /// What the body asks of a model; `None` where it is no model call or was left unread.
    #[must_use]
    pub fn model_call(&self) -> Option<&ModelCall> {
        self.model_call.as_ref()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("arrived", &self.arrived)
            .field("deadline", &self.deadline)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("model_call", &self.model_call)
            .finish()
    }
}

impl ModelCall {
    /// The most output tokens that the whole call may bring: the ceiling of one answer times the number of answers.
    #[must_use]
    pub fn output_ceiling_of_all(&self) -> Option<u64> {
        self.output_ceiling
            .map(|one| one.saturating_mul(u64::from(self.choices.max(1))))
    }
}
