//! Finds usage and errors in an answer while its body is read.
//!
//! A [`Scanner`] is given the bytes of a body in any pieces and reads each byte once. Its memory is
//! bounded for every body (the first 8 KiB of an event, a usage object of at most 16 KiB and two
//! events of at most 2 KiB), and its findings do not depend on where the pieces are cut. It never
//! fails: it skips what it does not understand.
//!
//! ```
//! use tower_qwen_tokens::{Dialect, scan::Scanner};
//!
//! let mut scanner = Scanner::sse(Dialect::Chat);
//! scanner.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n");
//! scanner.push(b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,");
//! scanner.push(b"\"completion_tokens\":1,\"total_tokens\":10}}\n\ndata: [DONE]\n\n");
//! let scanned = scanner.finish();
//! assert_eq!(scanned.usage.and_then(|usage| usage.total()), Some(10));
//! assert!(scanned.is_final);
//! ```

mod delivered;
mod json;
mod lexer;
mod scanner;
mod short_bytes;
mod sse;
mod template;
mod text;
mod text_buffer;

pub use delivered::Delivered;
pub use scanner::{Scanned, Scanner, UnsupportedBody};
pub(crate) use sse::{EventKind, EventProgress};
