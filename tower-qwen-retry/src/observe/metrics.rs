use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use metrics::{
    Counter, Histogram, Label, SharedString, Unit, counter, describe_counter, describe_histogram,
    histogram,
};
use tower_qwen_tokens::internal::{
    LabelValues, RecorderHandles,
    clock::{Instant, now},
};

use super::{RetryEvent, RetryObserver};

const ATTEMPTS: &str = "tower_qwen.retry.attempts";
const DURATION: &str = "tower_qwen.retry.attempt_duration";
const RETRIES: &str = "tower_qwen.retry.retries";
const WAIT: &str = "tower_qwen.retry.wait";
const GIVEN_UP: &str = "tower_qwen.retry.given_up";
const FALLBACKS: &str = "tower_qwen.retry.fallbacks";
const COOL_DOWNS: &str = "tower_qwen.retry.cool_downs";

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
/// | `tower_qwen.retry.fallbacks` | counter, calls | `error.type` (or `not_sent`), `to` |
/// | `tower_qwen.retry.cool_downs` | counter, failures after which a target rests | `error.type`, `to` |
///
/// Models beyond the first 1,024, and names longer than 256 bytes, are counted as `(other)`. Clones
/// share the models.
#[derive(Debug, Clone)]
pub struct RetryMetrics {
    models: LabelValues,
    succeeded: Arc<Mutex<HashMap<Arc<str>, Arc<Succeeded>>>>,
    /// From here the seconds are counted for which handles live.
    began: Instant,
}

/// Handles of one model for attempts without a cause, which nearly all are.
type Succeeded = RecorderHandles<Handles>;

#[derive(Default)]
struct Handles {
    attempts: OnceLock<Counter>,
    duration: OnceLock<Histogram>,
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
        describe_counter!(
            COOL_DOWNS,
            Unit::Count,
            "Failures after which a target rests"
        );
        Self {
            models: LabelValues::new(),
            succeeded: Arc::default(),
            began: now(),
        }
    }

    /// Tells these models alone apart; all others are `(other)`. Default: all.
    #[must_use]
    pub fn only_models(mut self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.models = self.models.only(allowed);
        self
    }

    fn succeeded(&self, model: &str, took: Option<Duration>) {
        let of_model = self.of_model(model);
        let second = now().saturating_duration_since(self.began).as_secs();
        let handles = metrics::with_recorder(|recorder| of_model.get(second, recorder));
        let attempts = handles
            .attempts
            .get_or_init(|| counter!(ATTEMPTS, self.labels(model, [error("none")])));
        attempts.increment(1);
        if let Some(took) = took {
            let duration = handles
                .duration
                .get_or_init(|| histogram!(DURATION, self.labels(model, [])));
            duration.record(took);
        }
    }

    fn of_model(&self, model: &str) -> Arc<Succeeded> {
        let known = || {
            self.succeeded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(of_model) = known().get(model) {
            return Arc::clone(of_model);
        }
        // It is one of a bounded number, so the map is bounded too.
        let name = self.models.get(model);
        Arc::clone(known().entry(name).or_default())
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
                status: Some(_),
                cause: None,
                took,
                ..
            } => self.succeeded(model, took),
            RetryEvent::Attempt {
                model, cause, took, ..
            } => {
                let cause = cause.map_or("unknown", |cause| cause.as_str());
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
                let cause = cause.map_or("not_sent", |cause| cause.as_str());
                counter!(FALLBACKS, self.labels(model, [error(cause), to])).increment(1);
            }
            RetryEvent::CoolDown {
                model,
                target,
                cause,
                ..
            } => {
                let to = Label::new("to", target.to_owned());
                counter!(COOL_DOWNS, self.labels(model, [error(cause.as_str()), to])).increment(1);
            }
        }
    }
}

fn error(cause: &'static str) -> Label {
    Label::from_static_parts("error.type", cause)
}
