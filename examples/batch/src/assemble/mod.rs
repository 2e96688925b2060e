//! Streams, put together into the shape of an answer in one piece.

mod merge;
mod raw;
mod sse;
mod stream;

pub use raw::strict;
pub use sse::{Event, Events};
pub use stream::{Assembler, StreamError};
