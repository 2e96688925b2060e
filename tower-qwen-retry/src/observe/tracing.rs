use tracing::{debug, info, warn};

use super::{RetryEvent, RetryObserver};

/// An observer that emits `tracing` events: a call given up and a cool-down at the level warn, retries and
/// fallbacks at info, attempts at debug.
///
/// The target is `tower_qwen_retry`. Events hold figures and names, never content, addresses or
/// headers.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct RetryTracing;

impl RetryTracing {
    /// An observer for the subscriber that is current when an event happens.
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
                held_by_admission,
            } => {
                info!(target: "tower_qwen_retry", model, number, cause = cause.as_str(), ?wait, held_by_admission, "retry");
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
                let cause = cause.map(|cause| cause.as_str());
                info!(target: "tower_qwen_retry", model, cause, to, "fallback");
            }
            RetryEvent::CoolDown {
                model,
                target,
                cause,
                wait,
            } => {
                warn!(target: "tower_qwen_retry", model, to = target, cause = cause.as_str(), ?wait, "cool-down");
            }
        }
    }
}
