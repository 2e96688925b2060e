//! Lines that are no calls.

use std::fmt;

use crate::base_url::BadUrl;

/// A line that cannot be called. It does not stop the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line. Never says what stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than a line may be. Unit: bytes.
    TooLong(usize),
    /// Not JSON, as found at this column.
    NotJson(usize),
    /// JSON, but no object.
    NotAnObject,
    /// A field that every line needs is not there.
    Missing(&'static str),
    /// A field is there, but is not this.
    NotA(&'static str, &'static str),
    /// A method other than `POST`.
    Method,
    /// The path is of no use.
    Url(BadUrl),
    /// The id stood on an earlier line, of this number.
    Duplicate(u64),
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "longer than {limit} bytes"),
            Self::NotJson(column) => write!(f, "not JSON (column {column})"),
            Self::NotAnObject => f.write_str("not a JSON object"),
            Self::Missing(field) => write!(f, "`{field}` is missing"),
            Self::NotA(field, kind) => write!(f, "`{field}` is not {kind}"),
            Self::Method => f.write_str("`method` is not POST"),
            Self::Url(bad) => write!(f, "`url`: {bad}"),
            Self::Duplicate(first) => write!(f, "`custom_id` stands on line {first} already"),
        }
    }
}
