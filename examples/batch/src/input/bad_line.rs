//! Lines that are no calls.

use std::{fmt, sync::Arc};

use crate::base_url::BadUrl;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of its file, where there are several.
    pub file: Option<Arc<str>>,
    /// Its number in the file, from 1.
    pub line: u64,
}

/// A line that cannot be called. It does not stop the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadLine {
    /// Where it stands.
    pub place: Place,
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
    /// Not text in UTF-8.
    NotUtf8,
    /// A field that every line needs is not there.
    Missing(&'static str),
    /// A field is there, but is not this.
    NotA(&'static str, &'static str),
    /// A field that an option names is not there, or null.
    NoField(String),
    /// A field that an option names is there, but is not this.
    FieldNotA(String, &'static str),
    /// A field that an option names is empty.
    EmptyField(String),
    /// So many fields stand where the first line names so many columns.
    Width(usize, usize),
    /// A method other than `POST`.
    Method,
    /// The path is of no use.
    Url(BadUrl),
    /// The id stood on an earlier line.
    Duplicate(Place),
}

/// What is said of bad lines: of the first ones what is wrong, then that there are more.
#[derive(Debug, Default)]
pub struct BadLines {
    seen: u64,
}

/// So many bad lines are named: more are nothing that a person would read.
const NAMED: u64 = 20;

impl BadLines {
    /// What is to be said of the next one.
    pub fn text(&mut self, line: &BadLine) -> Option<String> {
        self.seen += 1;
        match self.seen {
            ..=NAMED => Some(line.to_string()),
            seen if seen == NAMED + 1 => {
                Some("more bad lines are counted, not named: --errors FILE has them all".to_owned())
            }
            _ => None,
        }
    }
}

impl Reason {
    /// Whether all lines of a file in another format would have such a reason.
    #[must_use]
    pub(super) fn is_of_format(&self) -> bool {
        !matches!(
            self,
            Self::Method | Self::Url(_) | Self::Duplicate(_) | Self::EmptyField(_)
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "line {} of {file}", self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(limit) => write!(f, "longer than {limit} bytes"),
            Self::NotJson(column) => write!(f, "not JSON (column {column})"),
            Self::NotAnObject => f.write_str("not a JSON object"),
            Self::NotUtf8 => f.write_str("not text in UTF-8"),
            Self::Missing(field) => write!(f, "`{field}` is missing"),
            Self::NotA(field, kind) => write!(f, "`{field}` is not {kind}"),
            Self::NoField(field) => write!(f, "`{field}` is missing"),
            Self::FieldNotA(field, kind) => write!(f, "`{field}` is not {kind}"),
            Self::EmptyField(field) => write!(f, "`{field}` is empty"),
            Self::Width(found, columns) => {
                write!(f, "{found} fields, but the header has {columns}")
            }
            Self::Method => f.write_str("`method` is not POST"),
            Self::Url(bad) => write!(f, "`url`: {bad}"),
            Self::Duplicate(first) => write!(f, "`custom_id` stands on {first} already"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_lines_are_named_and_the_rest_is_not() {
        let mut bad_lines = BadLines::default();
        let said: Vec<String> = (1..=100)
            .filter_map(|line| {
                bad_lines.text(&BadLine {
                    place: Place { file: None, line },
                    reason: Reason::Method,
                })
            })
            .collect();
        assert_eq!(said.len(), 21);
        assert_eq!(said[19], "line 20: `method` is not POST");
        assert!(said[20].contains("--errors FILE"));
    }
}
