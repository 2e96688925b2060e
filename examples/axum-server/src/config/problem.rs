use std::{fmt, path::Path};

use serde::Serialize;

/// Where something stands in a text. Both are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in it.
    pub column: usize,
}

/// One thing that is wrong in a configuration. Never says a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands in the file; `None` where it stands elsewhere, such as on the command line.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What it is.
    pub message: String,
}

/// All that is wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The name of the file that the places are in.
    file: Option<String>,
    list: Vec<Problem>,
}

impl Place {
    /// Of a byte of a text.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line..].chars().count() + 1,
        }
    }
}

impl Problem {
    /// One that stands in the file, where the place is known.
    pub(super) fn at(place: impl Into<Option<Place>>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl Problems {
    /// `Ok` where there are none.
    pub(super) fn check(file: Option<&Path>, mut list: Vec<Problem>) -> Result<(), Self> {
        if list.is_empty() {
            return Ok(());
        }
        // By their places, as a reader meets them.
        list.sort_by_key(|problem| problem.place);
        let file = file.map(|file| file.display().to_string());
        Err(Self { file, list })
    }

    /// One that stands in no file.
    pub(crate) fn one(message: impl Into<String>) -> Self {
        Self {
            file: None,
            list: vec![Problem::at(None, message)],
        }
    }

    /// Each of them.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Problem { place, message }) in self.list.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            if let (Some(file), Some(place)) = (&self.file, place) {
                write!(f, "{file}:{}:{}: ", place.line, place.column)?;
            }
            f.write_str(message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters_from_one() {
        let text = "a\nbé = 1\n";
        for (offset, expected) in [(0, (1, 1)), (2, (2, 1)), (5, (2, 3)), (99, (3, 1))] {
            let Place { line, column } = Place::of(text, offset);
            assert_eq!((line, column), expected, "{offset}");
        }
    }
}
