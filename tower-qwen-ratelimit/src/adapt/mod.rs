//! What the provider's answers teach an account: how fast it may go, whether at all, and what
//! answers cost.

mod breaker;
mod output;
mod plan;
mod rate_share;
mod slow_start;
mod throttled;

pub(crate) use breaker::Breaker;
pub(crate) use output::OutputEstimate;
pub(crate) use plan::{Plan, PlanEnd};
pub(crate) use rate_share::RateShare;
pub(crate) use slow_start::SlowStart;
pub(crate) use throttled::{Recurrence, Throttled};
