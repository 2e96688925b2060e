//! What becomes of attempts, told to whoever wants to know.
//!
//! An observer is given to the [policy](crate::RetryPolicy::observe). It hears of every attempt, every retry and every one
//! that is not made, as they happen. With the feature `metrics` there is [`RetryMetrics`], with `tracing`
//! [`RetryTracing`]; a closure is one too.

mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

use std::{fmt, sync::Arc};

#[cfg(feature = "metrics")]
pub use self::metrics::RetryMetrics;
#[cfg(feature = "tracing")]
pub use self::tracing::RetryTracing;
pub use event::RetryEvent;

/// Hears what happens.
///
/// Called on the path of calls: it must neither block nor panic.
pub trait RetryObserver: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &RetryEvent<'_>);
}

impl<F: Fn(&RetryEvent<'_>) + Send + Sync> RetryObserver for F {
    fn on_event(&self, event: &RetryEvent<'_>) {
        self(event);
    }
}

/// All observers of a policy.
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn RetryObserver>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl RetryObserver + 'static) {
        self.0.push(Arc::new(observer));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn tell(&self, event: &RetryEvent<'_>) {
        for observer in &self.0 {
            observer.on_event(event);
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}
