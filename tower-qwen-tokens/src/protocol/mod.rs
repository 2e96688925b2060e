//! What the provider and its peers say on the wire: error codes, headers, dialects, usage shapes.
//!
//! Codes, header names and fragments of messages stand here and nowhere else. Nothing in this module needs tower, tokio
//! or http-body.

mod cause;
pub mod code;
mod dialect;
mod error_body;
pub mod header;
pub mod hint;
mod level;
pub mod rejection;
mod thinking;
mod time;
pub(crate) mod usage_body;
mod verdict;

pub use cause::Cause;
pub use dialect::Dialect;
pub use level::{Level, Levels};
pub use thinking::{preserves_thinking_by_default, thinks_by_default};
pub use verdict::Verdict;
