use metrics::{
    Label, SharedString, Unit, counter, describe_counter, describe_histogram, histogram,
};
use tower_qwen_tokens::internal::LabelValues;

use super::{RetryEvent, RetryObserver};

const ATTEMPTS: &str = "tower_qwen.retry.attempts";
const DURATION: &str = "tower_qwen.retry.attempt_duration";
const RETRIES: &str = "tower_qwen.retry.retries";
const WAIT: &str = "tower_qwen.retry.wait";
const GIVEN_UP: &str = "tower_qwen.retry.given_up";
const FALLBACKS: &str = "tower_qwen.retry.fallbacks";

/// An observer that counts in the recorder of the [`metrics`] facade.
///
/// OpenTelemetry has no convention for retries, so the metrics have names of our own; labels have
/// OpenTelemetry's.
///
/// | metric | kind, unit | labels beside `gen_ai.request.model` |
/// |---|---|---|
/// | `tower_qwen.retry.attempts` | counter, attempts | `error.type` (or `none`, `unknown`) |
/// | `tower_qwen.retry.attempt_duration` | histogram, seconds | |
/// | `tower_qwen.retry.retries` | counter, retries | `error.type`, `held_by_admission` |
/// | `tower_qwen.retry.wait` | histogram, seconds | |
/// | `tower_qwen.retry.given_up` | counter, calls | `error.type`, `reason` |
/// | `tower_qwen.retry.fallbacks` | counter, calls | `error.type`, `to` |
///
/// Models beyond the first 1,024, and names longer than 256 bytes, are counted as `(other)`. Clones
/// share the models.
#[derive(Debug, Clone)]
pub struct RetryMetrics {
    models: LabelValues,
}

impl RetryMetrics {
    /// An observer for the recorder that is installed when an event happens. Describes its metrics
    /// to the one that is installed now.
    #[must_use]
    pub fn new() -> Self {
        describe_counter!(ATTEMPTS, Unit::Count, "Attempts answered or failed");
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "Time until an attempt is classified"
        );
        describe_counter!(RETRIES, Unit::Count, "Attempts that are made again");
        describe_histogram!(WAIT, Unit::Seconds, "Waits before retries");
        describe_counter!(GIVEN_UP, Unit::Count, "Retries that are not made");
        describe_counter!(FALLBACKS, Unit::Count, "Calls that go to another target");
        Self {
            models: LabelValues::new(),
        }
    }

    fn labels<const N: usize>(&self, model: &str, more: [Label; N]) -> Vec<Label> {
        let model = SharedString::from_shared(self.models.get(model));
        let model = Label::new("gen_ai.request.model", model);
        std::iter::once(model).chain(more).collect()
    }
}

impl Default for RetryMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryObserver for RetryMetrics {
    fn on_event(&self, event: &RetryEvent<'_>) {
        match *event {
            RetryEvent::Attempt {
                model,
                status,
                cause,
                took,
                ..
            } => {
                let cause = match (cause, status) {
                    (Some(cause), _) => cause.as_str(),
                    (None, Some(_)) => "none",
                    (None, None) => "unknown",
                };
                counter!(ATTEMPTS, self.labels(model, [error(cause)])).increment(1);
                if let Some(took) = took {
                    histogram!(DURATION, self.labels(model, [])).record(took);
                }
            }
            RetryEvent::Retry {
                model,
                cause,
                wait,
                held_by_admission,
                ..
            } => {
                let held = if held_by_admission { "true" } else { "false" };
                let held = Label::from_static_parts("held_by_admission", held);
                counter!(RETRIES, self.labels(model, [error(cause.as_str()), held])).increment(1);
                histogram!(WAIT, self.labels(model, [])).record(wait);
            }
            RetryEvent::GaveUp {
                model, cause, why, ..
            } => {
                let reason = Label::from_static_parts("reason", why.as_str());
                let labels = self.labels(model, [error(cause.as_str()), reason]);
                counter!(GIVEN_UP, labels).increment(1);
            }
            RetryEvent::Fallback { model, cause, to } => {
                let to = Label::new("to", to.to_owned());
                counter!(FALLBACKS, self.labels(model, [error(cause.as_str()), to])).increment(1);
            }
        }
    }
}

fn error(cause: &'static str) -> Label {
    Label::from_static_parts("error.type", cause)
}
