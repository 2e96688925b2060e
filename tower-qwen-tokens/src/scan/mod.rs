//! Finds usage and errors in an answer while its body is read.
//!
//! A [`Scanner`] is given the bytes of a body in any pieces and reads each byte once. Its memory is
//! bounded for every body (the first 8 KiB of an event, a usage object of at most 16 KiB, two
//! events of at most 2 KiB and the figures of at most 64 answers), and its findings do not depend on
//! where the pieces are cut. It never fails: it skips what it does not understand.
//!
//! # Usage
//!
//! Usage is found at the top level, within `response`, `message`, `x_groq` and within an answer of
//! `choices`. Of several usage objects the later one replaces the earlier, since figures are
//! cumulative; those of different answers add up (`n` above 1, several prompts). A zero replaces no
//! figure, and zeros beside text are no usage.
//!
//! # Text
//!
//! What is counted where usage is missing is text: of answers, refusals, reasoning and arguments of tools. The events of a native
//! stream may each repeat the text so far: then the longest counts. With `incremental_output` they do not, and are added up; where
//! the request does not say it, the texts tell it. Sound (`delta.audio.data`) is not counted: its tokens are by the second, and how
//! many bytes a second has is not stated.
//!
//! # Streams
//!
//! A stream is whole only if it says so: by `[DONE]`, by a reason to stop of every answer, or by the
//! usage with which it ends. That its body ended says nothing, as a server or a proxy may cut it
//! without an error. JSON in a stream that is in no event, or glued to an event that was not closed,
//! is read as well.
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
mod key;
mod lexer;
mod native_events;
mod repetition;
mod scanned;
mod scanner;
mod short_bytes;
mod sniff;
mod sse;
mod template;
mod text;
mod text_buffer;
mod unsupported_body;
mod usage_sum;

pub use delivered::Delivered;
pub(crate) use native_events::NativeEvents;
pub use scanned::Scanned;
pub use scanner::Scanner;
pub(crate) use sse::{EventKind, EventProgress};
pub(crate) use template::KnownEvents;
pub use unsupported_body::UnsupportedBody;
