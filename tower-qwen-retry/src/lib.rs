#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[cfg(feature = "tower-0-5")]
pub mod adapter;
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
mod transport;
mod waits;

pub use attempts::Attempts;
pub use backoff::Backoff;
pub use budget::Budget;
pub use fallback::{Fallback, InvalidFallback};
pub use give_up::GiveUp;
pub use observe::{Event, Observe};
pub use policy::RetryPolicy;
pub use repeat::Repeatable;
pub use retry::{Retry, RetryLayer};
pub use tower_qwen_tokens::{call::BoxError, judge::FirstEvent};
