#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod backoff;
mod backoffs;
mod budget;
mod classify_error;
mod cool_down;
mod cooling_down;
mod fallback;
mod give_up;
mod idempotency;
mod jitter;
mod leave;
pub mod observe;
mod policy;
mod pool;
pub mod retry;
mod schedule;
mod state;
mod throttle_counts;
#[cfg(feature = "tower-0-5")]
mod tower_policy;

pub use backoff::Backoff;
pub use budget::RetryBudget;
pub use cooling_down::CoolingDown;
pub use fallback::{Fallback, InvalidFallback};
pub use give_up::GiveUp;
pub use idempotency::Idempotent;
pub use observe::{RetryEvent, RetryObserver};
pub use policy::RetryPolicy;
pub use pool::Pool;
pub use retry::{Retry, RetryLayer};
#[cfg(feature = "tower-0-5")]
pub use tower_policy::TowerPolicy;
pub use tower_qwen_tokens::{call::BoxError, classify::FirstEvent};
