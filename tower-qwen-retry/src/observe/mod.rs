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
pub(crate) type Observers = tower_qwen_tokens::internal::Observers<dyn RetryObserver>;

/// Calls every observer with an event.
pub(crate) fn emit(observers: &Observers, event: &RetryEvent<'_>) {
    observers.for_each(|observer| observer.on_event(event));
}
