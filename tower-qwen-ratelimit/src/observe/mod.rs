//! What happens at accounts, told to whoever wants to know.
//!
//! An observer is given to the limiter when it is built. It hears every admission, refusal, settlement and throttle, as
//! they happen and outside of any lock of ours. With the feature `metrics` there is [`LimiterMetrics`], with `tracing`
//! [`LimiterTracing`]; a closure is one too.

mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::LimiterMetrics;
#[cfg(feature = "tracing")]
pub use self::tracing::LimiterTracing;
pub use event::LimiterEvent;

/// Hears what happens.
///
/// Called on the path of calls, from drops too: it must neither block nor panic.
pub trait LimiterObserver: Send + Sync {
    /// Something happened.
    fn on_event(&self, event: &LimiterEvent<'_>);
}

impl<F: Fn(&LimiterEvent<'_>) + Send + Sync> LimiterObserver for F {
    fn on_event(&self, event: &LimiterEvent<'_>) {
        self(event);
    }
}

/// All observers of a limiter.
pub(crate) type Observers = tower_qwen_tokens::internal::Observers<dyn LimiterObserver>;

/// Calls every observer with an event.
pub(crate) fn emit(observers: &Observers, event: &LimiterEvent<'_>) {
    observers.for_each(|observer| observer.on_event(event));
}
