//! Why an input cannot be used at all.

use std::{fmt, io};

use super::{BadLine, format::Format};

/// An input that cannot be used, or options that do not fit it, in one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(String);

/// A file of which no line is what its format wants.
#[derive(Debug)]
pub(super) struct WrongFormat {
    pub(super) name: String,
    pub(super) format: Format,
    /// How many lines were read, all of them bad.
    pub(super) bad: u64,
    pub(super) first: BadLine,
    /// How many lines follow, where that is known.
    pub(super) more: Option<u64>,
    pub(super) guess: Option<String>,
}

impl Unusable {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// Why a file of this name, at this path, cannot be read: as the error says, where it holds one of these.
    pub(super) fn of(name: &str, path: &str, error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(unusable) = inner.and_then(|inner| inner.downcast_ref::<Self>()) {
            return match unusable.0.contains(name) || unusable.0.starts_with("--") {
                true => unusable.clone(),
                false => Self(format!("--input: {path}: {unusable}")),
            };
        }
        match inner.and_then(|inner| inner.downcast_ref::<WrongFormat>()) {
            Some(wrong) => Self(wrong.to_string()),
            None => Self(format!("--input: {path}: {}", why(error))),
        }
    }
}

impl From<Unusable> for io::Error {
    fn from(unusable: Unusable) -> Self {
        Self::other(unusable)
    }
}

impl From<WrongFormat> for io::Error {
    fn from(wrong: WrongFormat) -> Self {
        Self::other(wrong)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for WrongFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_not = match self.format {
            Format::Batch => "no line of it is a call",
            Format::Jsonl => "no line of it is a prompt in JSON",
            Format::Csv(_) => "no row of it is a prompt",
            Format::Lines => "no line of it is a prompt",
        };
        let bad = match self.bad {
            1 => "its only line is bad".to_owned(),
            bad => format!("all of the first {bad} lines are bad"),
        };
        let Self { name, first, .. } = self;
        write!(f, "{name}: {is_not}: {bad} ({first})")?;
        if let Some(more @ 1..) = self.more {
            write!(f, ", and {} more", thousands(more))?;
        }
        match &self.guess {
            Some(guess) => write!(f, "; {guess}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unusable {}

impl std::error::Error for WrongFormat {}

/// The name of a field as a shell takes it, cut where it is long: it comes from a file, which may hold anything.
pub(super) fn shown(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    match name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        true => name,
        false => format!("'{name}'"),
    }
}

/// Why a file cannot be read, in plain words where the system's are not.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    }
}

/// A number with commas, for people.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_a_shell_takes_them() {
        for (name, expected) in [
            ("text", "text"),
            ("my text", "'my text'"),
            ("a\u{1b}[2J", "'a[2J'"),
            ("字", "字"),
        ] {
            assert_eq!(shown(name), expected);
        }
        assert_eq!(shown(&"x".repeat(100)).len(), 40);
    }

    #[test]
    fn thousands_have_commas() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (199_980, "199,980"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
