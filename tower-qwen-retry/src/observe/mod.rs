//! Events about attempts, retries and fallbacks, for logs and metrics.
//!
//! An observer is added to the [policy](crate::RetryPolicy::observe), and gets each event as it
//! happens. A closure is an observer; so are `RetryMetrics` (feature `metrics`) and `RetryTracing`
//! (feature `tracing`).

mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::RetryMetrics;
#[cfg(feature = "tracing")]
pub use self::tracing::RetryTracing;
pub use event::RetryEvent;

/// Receives the events of a policy.
///
/// Called on the path of every call: it must neither block nor panic.
pub trait RetryObserver: Send + Sync {
    /// Called for each event.
    fn on_event(&self, event: &RetryEvent<'_>);
}

impl<F: Fn(&RetryEvent<'_>) + Send + Sync> RetryObserver for F {
    fn on_event(&self, event: &RetryEvent<'_>) {
        self(event);
    }
}

/// All observers of a policy.
pub(crate) type Observers = tower_qwen_tokens::internal::Observers<dyn RetryObserver>;

/// Calls every observer with an event.
pub(crate) fn emit(observers: &Observers, event: &RetryEvent<'_>) {
    observers.for_each(|observer| observer.on_event(event));
}
