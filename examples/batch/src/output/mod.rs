//! The file of answers: always whole lines, each id at most once.

mod compact;
mod existing;
#[cfg(feature = "parquet")]
mod parquet_file;
mod record;
mod repair;
mod writer;

pub use existing::{Existing, Foreign, OtherProvider, scan};
#[cfg(feature = "parquet")]
pub use parquet_file::write_parquet;
pub use record::{AnswerPart, ErrorPart, Record};
pub use repair::{OpenError, check_errors, open, open_errors};
pub use writer::Writer;

pub(crate) use compact::compact;
