//! What the provider and its peers say on the wire: error codes, headers, dialects, usage shapes.
//!
//! The only module that knows codes, header names and fragments of messages. It needs neither tower
//! nor tokio nor http-body.

mod cause;
pub(crate) mod code;
mod date;
mod dialect;
mod error_body;
mod error_parts;
mod error_reader;
mod facts;
pub mod header;
pub(crate) mod hint;
pub(crate) mod hint_header;
mod hint_words;
#[cfg(feature = "http")]
mod incremental;
mod index;
pub(crate) mod known_errors;
mod level;
pub mod rejection;
mod status;
mod thinking;
mod time;
#[cfg(feature = "http")]
pub(crate) mod usage_body;
mod verdict;
mod words;

pub use cause::Cause;
pub use dialect::Dialect;
#[cfg(feature = "http")]
pub(crate) use incremental::is_incremental_by_default;
pub use level::{Level, Levels};
pub use thinking::{preserves_thinking_by_default, thinks_by_default};
pub use verdict::Verdict;
