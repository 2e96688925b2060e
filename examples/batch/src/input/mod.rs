//! The file of calls: read line by line, never as a whole.

mod bad_line;
mod line;
mod prompts;
mod reader;

pub use bad_line::{BadLine, Reason};
pub use line::InputCall;
pub use prompts::bundled;
pub use reader::{Item, MAX_LINE, Reader, count_calls};
