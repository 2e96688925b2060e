use tracing::{debug, info, warn};

use super::{RetryEvent, RetryObserver};

/// Emits an event for what happens: retries that are not made at the level warn, fallbacks and retries at info, attempts
/// at debug.
///
/// Events are of the target `tower_qwen_retry` and hold figures and names, never content, addresses or headers.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RetryTracing;

impl RetryTracing {
    /// An observer for the subscriber that is there whenever something happens.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl RetryObserver for RetryTracing {
    fn on_event(&self, event: &RetryEvent<'_>) {
        match *event {
            RetryEvent::Attempt {
                model,
                number,
                status,
                cause,
                took,
            } => {
                let status = status.map(|status| status.as_u16());
                let cause = cause.map(|cause| cause.as_str());
                debug!(target: "tower_qwen_retry", model, number, status, cause, ?took, "attempt");
            }
            RetryEvent::Retry {
                model,
                number,
                cause,
                wait,
                paced,
            } => {
                info!(target: "tower_qwen_retry", model, number, cause = cause.as_str(), ?wait, paced, "retry");
            }
            RetryEvent::GaveUp {
                model,
                number,
                cause,
                why,
            } => {
                warn!(target: "tower_qwen_retry", model, number, cause = cause.as_str(), why = why.as_str(), "gave up");
            }
            RetryEvent::Fallback { model, cause, to } => {
                info!(target: "tower_qwen_retry", model, cause = cause.as_str(), to, "fallback");
            }
        }
    }
}
