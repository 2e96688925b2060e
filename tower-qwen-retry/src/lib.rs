#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod attempts;
mod backoff;
mod budget;
mod decide;
mod fallback;
mod give_up;
mod jitter;
pub mod observe;
mod policy;
mod repeat;
pub mod retry;
#[cfg(feature = "tower-0-5")]
mod tower_policy;
mod transport;
mod waits;

pub use attempts::Attempts;
pub use backoff::Backoff;
pub use budget::RetryBudget;
pub use fallback::{Fallback, InvalidFallback};
pub use give_up::GiveUp;
pub use observe::{RetryEvent, RetryObserver};
pub use policy::RetryPolicy;
pub use repeat::Idempotent;
pub use retry::{Retry, RetryLayer};
#[cfg(feature = "tower-0-5")]
pub use tower_policy::TowerPolicy;
pub use tower_qwen_tokens::{call::BoxError, classify::FirstEvent};
