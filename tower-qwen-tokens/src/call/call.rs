use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{CallReport, Deadline, ModelCall, include_usage::with_usage};
use crate::{
    estimate::{Calibration, Estimated},
    shared::clock::Instant,
};

/// A call whose texts are unread up to this part of its estimate teaches the estimator.
const UNREAD: u64 = 8;

/// One logical call: its arrival, its body and what was read from it.
///
/// Lives in the request's extensions as `Arc<Call>` and travels with every attempt.
pub struct Call {
    pub(crate) arrived: Instant,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) body: Option<Bytes>,
    /// The body with `include_usage`, made at the first attempt that needs it; inner `None`: it
    /// cannot be made.
    pub(crate) asking_body: OnceLock<Option<Bytes>>,
    pub(crate) model_call: Option<ModelCall>,
    /// Learns the true size of the prompt.
    pub(crate) calibration: Option<Calibration>,
    /// Here and not beside the call: an extension of its own would be a box for each attempt.
    pub(crate) report: CallReport,
}

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

    /// The request's body, byte for byte; `None` where it was left unread (too large to hold, or
    /// not a model call).
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// What the call has waited, used and cost so far. All attempts share it, to other models too.
    #[must_use]
    pub fn report(&self) -> &CallReport {
        &self.report
    }

    /// The body with `stream_options.include_usage`; `None` where that does not fit in. One copy
    /// serves all attempts.
    pub(crate) fn asking_body(&self) -> Option<&Bytes> {
        // Once per call, not per attempt: retries of a call send the same bytes.
        self.asking_body
            .get_or_init(|| with_usage(self.body.as_ref()?))
            .as_ref()
    }

    /// The same call with another body that allows one answer this many tokens.
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

    pub(super) fn with_body(
        &self,
        body: Bytes,
        change: impl FnOnce(ModelCall) -> ModelCall,
    ) -> Self {
        Self {
            arrived: self.arrived,
            deadline: self.deadline,
            body: Some(body),
            // The new body may have another `stream_options`.
            asking_body: OnceLock::new(),
            model_call: self.model_call.clone().map(change),
            calibration: self.calibration.clone(),
            report: self.report.clone(),
        }
    }

    /// Passes the true size of the prompt to the calibration. Unit: tokens.
    pub(crate) fn learn_input(&self, actual: u64) {
        if let (Some(calibration), Some(call)) = (&self.calibration, &self.model_call) {
            let Estimated { tokens, script } = call.estimated;
            // Nobody knows whether they were in the prompt: so the call says nothing of the estimate.
            if call.unread_tokens > tokens / UNREAD {
                return;
            }
            calibration.learn(&call.model, script, tokens, actual);
        }
    }

    /// The model call that the body describes; `None` where it is none, or where the body was not
    /// read.
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
            // The length alone: the bytes are the prompt of the caller.
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("model_call", &self.model_call)
            .finish()
    }
}
