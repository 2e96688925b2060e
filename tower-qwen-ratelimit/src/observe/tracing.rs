use std::time::Duration;

use tracing::{debug, info, warn};

use super::{LimiterEvent, LimiterObserver};

/// An observer that emits a `tracing` event for every limiter event: throttles, rejections, used-up
/// plans, absurd waits, outages of the store and formats of other versions at level warn, long waits,
/// what was learned of the quota and the end of an outage at info, all others at
/// debug.
///
/// The target is `tower_qwen_ratelimit`. Events hold figures and names, never content.
#[derive(Debug, Clone, Copy)]
pub struct LimiterTracing {
    long_wait: Duration,
}

impl LimiterTracing {
    /// An observer for the current subscriber. A wait is long from 10 s on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // Interactive callers give up about then; a batch sets its own.
            long_wait: Duration::from_secs(10),
        }
    }

    /// The wait from which on an admission is reported at level info. Default: 10 s.
    #[must_use]
    pub fn long_wait(mut self, wait: Duration) -> Self {
        self.long_wait = wait;
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
                priority,
            } => {
                let priority = priority.as_str();
                if waited >= self.long_wait {
                    info!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, priority, "admitted after a long wait");
                } else {
                    debug!(target: "tower_qwen_ratelimit", ?key, ?waited, reserved, priority, "admitted");
                }
            }
            LimiterEvent::Rejected { key, rejected } => {
                warn!(target: "tower_qwen_ratelimit", ?key, %rejected, "rejected");
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
            LimiterEvent::QuotaLearned {
                key,
                requests,
                tokens,
            } => {
                info!(target: "tower_qwen_ratelimit", ?key, requests, tokens, "the provider grants another quota");
            }
            LimiterEvent::MoreMayBeHad { key } => {
                info!(target: "tower_qwen_ratelimit", ?key, "the whole quota is used and nothing is throttled: more may be had");
            }
            LimiterEvent::PlanUsedUp { key, window, until } => {
                warn!(target: "tower_qwen_ratelimit", ?key, ?window, ?until, "a window of the plan is used up");
            }
            LimiterEvent::AbsurdWait { key, cause } => {
                warn!(target: "tower_qwen_ratelimit", ?key, cause = cause.as_str(), "a stated wait is beyond belief, and ignored");
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
                warn!(target: "tower_qwen_ratelimit", ?key, ?outage, reason, "the store rejects the account");
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreFormat { key, own, other } => {
                warn!(target: "tower_qwen_ratelimit", ?key, own, other, "processes of another version use the account and do not share it");
            }
            #[cfg(feature = "redis")]
            LimiterEvent::StoreBack { away_for } => {
                info!(target: "tower_qwen_ratelimit", ?away_for, "the store is back");
            }
        }
    }
}
