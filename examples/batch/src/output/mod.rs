//! The file of answers: always whole lines, each id at most once.

mod compact;
mod existing;
mod record;
mod repair;
mod writer;

pub use existing::{Existing, Foreign, OtherProvider, scan};
pub use record::{AnswerPart, ErrorPart, Record};
pub use repair::{OpenError, open};
pub use writer::Writer;

pub(crate) use compact::compact;
