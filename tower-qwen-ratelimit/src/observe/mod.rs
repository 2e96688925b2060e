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

use std::{
    fmt,
    sync::{Arc, Weak},
};

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
#[derive(Clone, Default)]
pub(crate) struct Observers(Vec<Arc<dyn LimiterObserver>>);

impl Observers {
    pub(crate) fn add(&mut self, observer: impl LimiterObserver + 'static) {
        self.0.push(Arc::new(observer));
    }

    /// For who outlives the limiter.
    pub(crate) fn downgrade(&self) -> impl Iterator<Item = Weak<dyn LimiterObserver>> {
        self.0.iter().map(Arc::downgrade)
    }

    pub(crate) fn tell(&self, event: &LimiterEvent<'_>) {
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
