//! What becomes of attempts, told to whoever wants to know.
//!
//! An observer is given to the [policy](crate::RetryPolicy::observe). It hears of every attempt, every retry and every one
//! that is not made, as they happen. With the feature `metrics` there is [`MetricsObserver`], with `tracing`
//! [`TracingObserver`]; a closure is one too.

mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

use std::{fmt, sync::Arc};

#[cfg(feature = "metrics")]
pub use self::metrics::MetricsObserver;
#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;
pub use event::Event;

/// Hears what happens.
///
/// Called on the path of calls: it must neither block nor panic.
pub trait Observe: Send + Sync {
    /// Something happened.
    fn observe(&self, event: &Event<'_>);
}

impl<F: Fn(&Event<'_>) + Send + Sync> Observe for F {
    fn observe(&self, event: &Event<'_>) {
        self(event);
    }
}

/// All observers of a policy.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn Observe>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Observe + 'static) {
        self.0.push(Arc::new(observer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.observe(event);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
