//! Reads the body of a request in one pass, in every dialect. Nothing of the prompt is kept.

mod draft;
mod field;
mod half_pairs;
mod letter_case;
mod parse_error;
mod reader;
mod stated;

pub use parse_error::{ParseError, ParseErrorKind};
pub(super) use reader::read;
