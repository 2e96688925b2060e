//! Observers of a limiter: every admission, rejection, settlement and throttle as it happens.
//!
//! An observer is added when the limiter is built
//! ([`LimiterBuilder::observe`](crate::LimiterBuilder::observe)). Any closure over [`LimiterEvent`]
//! is one. The feature `metrics` brings `LimiterMetrics`, the feature `tracing` `LimiterTracing`.
//!
//! # Examples
//!
//! A closure that counts throttles:
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
//!
//! use tower_qwen_ratelimit::{Limiter, LimiterEvent, Quota};
//!
//! # fn main() -> Result<(), tower_qwen_ratelimit::InvalidLimiter> {
//! let throttles = Arc::new(AtomicU64::new(0));
//! let counter = Arc::clone(&throttles);
//! let limiter = Limiter::builder(Quota::per_minute(60, 100_000))
//!     .observe(move |event: &LimiterEvent<'_>| {
//!         if let LimiterEvent::Throttled { .. } = event {
//!             counter.fetch_add(1, Ordering::Relaxed);
//!         }
//!     })
//!     .build()?;
//! # let _ = (limiter, throttles);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(
    feature = "metrics",
    doc = r#"
Metrics, and the state of the accounts every 10 s:

```
use std::time::Duration;

use tower_qwen_ratelimit::{Limiter, Quota, observe::LimiterMetrics};

# #[tokio::main(flavor = "current_thread", start_paused = true)]
# async fn main() -> Result<(), tower_qwen_ratelimit::InvalidLimiter> {
let metrics = LimiterMetrics::new();
let limiter = Limiter::builder(Quota::per_minute(60, 100_000))
    .observe(metrics.clone())
    .build()?;

let accounts = limiter.clone();
tokio::spawn(async move {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        metrics.record(&accounts.snapshot());
    }
});
# let _ = limiter;
# Ok(())
# }
```
"#
)]

#[cfg(feature = "metrics")]
mod budget_metrics;
mod event;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "tracing")]
pub use self::tracing::LimiterTracing;
#[cfg(feature = "metrics")]
pub use self::{budget_metrics::BudgetMetrics, metrics::LimiterMetrics};
pub use event::LimiterEvent;

/// Receives the events of a limiter; see the [module docs](self).
///
/// It is called on the path of calls, also from drops, and never under a lock of the limiter: it
/// must neither block nor panic, and it may read the limiter.
pub trait LimiterObserver: Send + Sync {
    /// Called with every event, in the thread in which it happens.
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
