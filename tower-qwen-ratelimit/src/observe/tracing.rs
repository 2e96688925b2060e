use std::time::Duration;

use tracing::{debug, info, warn};

use super::{Event, Observe};

/// Emits an event for what happens: throttles and refusals at the level warn, long waits at info, the rest at debug.
///
/// Events are of the target `tower_qwen_ratelimit` and hold figures and names, never content.
#[derive(Debug, Clone, Copy)]
pub struct TracingObserver {
    long: Duration,
}

impl TracingObserver {
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

impl Default for TracingObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observe for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        match *event {
            Event::Admitted {
                key,
                waited,
                reserved,
            } if waited >= self.long => {
                info!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, "admitted after a long wait");
            }
            Event::Admitted {
                key,
                waited,
                reserved,
            } => debug!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, "admitted"),
            Event::Refused { key, rejected } => {
                warn!(target: "tower_qwen_ratelimit", ?key, %rejected, "refused");
            }
            Event::Settled {
                key,
                reserved,
                used,
                known,
            } => debug!(target: "tower_qwen_ratelimit", ?key, reserved, used, known, "settled"),
            Event::Throttled {
                key,
                cause,
                closed_for,
                unexplained,
            } => {
                warn!(target: "tower_qwen_ratelimit", ?key, cause = cause.as_str(), ?closed_for, unexplained, "throttled");
            }
            Event::StoreAway { outage, reason } => {
                warn!(target: "tower_qwen_ratelimit", ?outage, reason, "the store is away");
            }
            Event::StoreRefused {
                key,
                outage,
                reason,
            } => {
                warn!(target: "tower_qwen_ratelimit", ?key, ?outage, reason, "the store refuses the account");
            }
            Event::StoreBack { away_for } => {
                info!(target: "tower_qwen_ratelimit", ?away_for, "the store is back");
            }
        }
    }
}
