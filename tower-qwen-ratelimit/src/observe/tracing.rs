use std::time::Duration;

use tracing::{debug, info, warn};

use super::{LimiterEvent, LimiterObserver};

/// Emits an event for what happens: throttles and refusals at the level warn, long waits at info, the rest at debug.
///
/// Events are of the target `tower_qwen_ratelimit` and hold figures and names, never content.
#[derive(Debug, Clone, Copy)]
pub struct LimiterTracing {
    long: Duration,
}

impl LimiterTracing {
    /// An observer for the subscriber that is there whenever something happens. A wait is long from 10 s on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            long: Duration::from_secs(10),
        }
    }

    /// From when on a wait is long.
    #[must_use]
    pub fn long_wait(mut self, wait: Duration) -> Self {
        self.long = wait;
        self
    }
}

impl Default for LimiterTracing {
    fn default() -> Self {
        Self::new()
    }
}

impl LimiterObserver for LimiterTracing {
    fn on_event(&self, event: &LimiterEvent<'_>) {
        match *event {
            LimiterEvent::Admitted {
                key,
                waited,
                reserved,
            } if waited >= self.long => {
                info!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, "admitted after a long wait");
            }
            LimiterEvent::Admitted {
                key,
                waited,
                reserved,
            } => debug!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, "admitted"),
            LimiterEvent::Rejected { key, rejected } => {
                warn!(target: "tower_qwen_ratelimit", ?key, %rejected, "refused");
            }
            LimiterEvent::Settled {
                key,
                reserved,
                used,
                known,
            } => debug!(target: "tower_qwen_ratelimit", ?key, reserved, used, known, "settled"),
            LimiterEvent::Throttled {
                key,
                cause,
                closed_for,
                unexplained,
            } => {
                warn!(target: "tower_qwen_ratelimit", ?key, cause = cause.as_str(), ?closed_for, unexplained, "throttled");
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreAway { outage, reason } => {
                warn!(target: "tower_qwen_ratelimit", ?outage, reason, "the store is away");
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreRejected {
                key,
                outage,
                reason,
            } => {
                warn!(target: "tower_qwen_ratelimit", ?key, ?outage, reason, "the store refuses the account");
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreBack { away_for } => {
                info!(target: "tower_qwen_ratelimit", ?away_for, "the store is back");
            }
        }
    }
}
