#![doc = include_str!("../README.md")]

mod attempts;
mod backoff;
mod budget;
mod decide;
mod jitter;
mod policy;
pub mod retry;
mod trace;
mod transport;

pub use attempts::Attempts;
pub use backoff::Backoff;
pub use budget::Budget;
pub use policy::RetryPolicy;
pub use retry::{Retry, RetryLayer};
pub use tower_qwen_tokens::call::BoxError;
