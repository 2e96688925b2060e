//! The input: read line by line, never as a whole, in any of its formats.

mod args;
mod bad_line;
mod csv;
mod feed;
mod file;
mod format;
mod guess;
mod line;
mod lines;
mod object;
mod open;
mod prompt;
mod prompts;
mod reader;
mod selection;
mod source;
mod start;
mod template;
mod unpack;
mod unusable;

pub use args::{FormatArg, InputArgs, Param, param};
pub use bad_line::{BadLine, BadLines, Place, Reason};
pub use line::InputCall;
pub use open::{Opened, Wanted, open};
pub use prompts::bundled;
pub use reader::{Item, Reader};
pub use selection::Shard;
pub use unusable::Unusable;

#[cfg(feature = "parquet")]
pub(crate) use object::Object;
pub(crate) use source::{is_same, without_packing};

/// The longest line that is read. Unit: bytes.
pub const MAX_LINE: usize = 32 << 20;
