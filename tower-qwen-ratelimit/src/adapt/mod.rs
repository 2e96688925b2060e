//! What the provider's answers teach an account: how fast it may go, whether at all, and what
//! answers cost.

#[cfg(feature = "redis")]
mod belief;
mod breaker;
mod claim;
mod held;
mod learned_share;
mod output;
mod plan;
mod quota_news;
mod slow_start;
mod throttled;

#[cfg(feature = "redis")]
pub(crate) use belief::{Belief, Beliefs, Since};
pub(crate) use breaker::Breaker;
pub(crate) use claim::ThrottledCall;
pub(crate) use held::Held;
pub(crate) use learned_share::LearnedShare;
pub(crate) use output::OutputEstimate;
pub(crate) use plan::{Plan, PlanEnd};
pub(crate) use quota_news::{News, QuotaNews};
pub(crate) use slow_start::SlowStart;
pub(crate) use throttled::Throttled;
