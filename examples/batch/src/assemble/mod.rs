//! Streams, put together into the shape of an answer in one piece.

mod merge;
mod sse;
mod stream;

pub use sse::{Event, Events};
pub use stream::{Assembled, Assembler, StreamError};
