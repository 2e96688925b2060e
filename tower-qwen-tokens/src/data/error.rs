use std::fmt;

use super::section::BoxError;

/// Why a text makes no rows.
#[derive(Debug, thiserror::Error)]
pub struct InvalidData {
    kind: InvalidDataKind,
    section: &'static str,
    row: Option<usize>,
    model: Option<String>,
    source: Option<BoxError>,
}

/// What is wrong with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidDataKind {
    /// It is not JSON, or not TOML.
    Syntax,
    /// It is neither a list of rows nor made of the sections `price`, `window`, `quota` and `retirement`.
    Layout,
    /// One row is unsound.
    Row,
}

impl InvalidData {
    pub(super) fn syntax(section: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            kind: InvalidDataKind::Syntax,
            source: Some(source.into()),
            ..Self::layout(section)
        }
    }

    pub(super) fn layout(section: &'static str) -> Self {
        Self {
            kind: InvalidDataKind::Layout,
            section,
            row: None,
            model: None,
            source: None,
        }
    }

    /// The row with this number, counted from 1.
    pub(super) fn row_of(
        section: &'static str,
        row: usize,
        model: Option<String>,
        source: BoxError,
    ) -> Self {
        Self {
            kind: InvalidDataKind::Row,
            row: Some(row),
            model,
            source: Some(source),
            ..Self::layout(section)
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> InvalidDataKind {
        self.kind
    }

    /// The number of the unsound row in its section, from 1.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        self.row
    }

    /// The model of the unsound row, where it names one.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

impl fmt::Display for InvalidData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        match (self.kind, self.row, &self.model) {
            (InvalidDataKind::Syntax, ..) => write!(f, "the {section} data cannot be read"),
            (InvalidDataKind::Row, Some(row), Some(model)) => {
                write!(f, "row {row} of the {section} data, {model:?}, is unsound")
            }
            (InvalidDataKind::Row, Some(row), None) => {
                write!(f, "row {row} of the {section} data is unsound")
            }
            _ => write!(
                f,
                "the {section} data is neither a list of rows nor made of known sections"
            ),
        }
    }
}
