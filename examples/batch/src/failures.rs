//! The failures of a run, by what they say.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::output::{ErrorPart, Record};

/// Kinds of failure that are counted apart. Messages come from outside, so their number is bounded.
const MAX_KINDS: usize = 64;

/// The most characters of a message that are shown.
const MAX_MESSAGE: usize = 160;

/// The failures of a run. Messages that differ in their figures alone count as one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    kinds: BTreeMap<(String, String), FailureKind>,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureKind {
    /// The code of the error.
    pub code: String,
    /// The message of the first one.
    pub message: String,
    /// How many calls failed so.
    pub count: u64,
    /// The id of the first one.
    pub sample: String,
}

impl Failures {
    /// Counts a call that failed.
    pub fn note(&mut self, record: &Record) {
        let unknown = ErrorPart::new("unknown", "");
        let error = record.error.as_ref().unwrap_or(&unknown);
        let message = short(&error.message);
        let mut kind = (error.code.clone(), without_figures(&message));
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            kind = ("(other)".to_owned(), String::new());
        }
        let (code, _) = &kind;
        let first = FailureKind {
            code: code.clone(),
            message,
            count: 0,
            sample: record.custom_id.clone(),
        };
        self.kinds.entry(kind).or_insert(first).count += 1;
    }

    /// The most frequent kinds.
    #[must_use]
    pub fn top(&self, number: usize) -> Vec<FailureKind> {
        let mut kinds: Vec<_> = self.kinds.values().cloned().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        kinds.truncate(number);
        kinds
    }
}

impl std::fmt::Display for FailureKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            message,
            count,
            sample,
        } = self;
        let calls = if *count == 1 { "call" } else { "calls" };
        write!(f, "{count} {calls}, such as {sample:?}: {code}")?;
        match message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

/// The beginning of a message, on one line.
#[must_use]
pub fn short(message: &str) -> String {
    let mut words = message.split_whitespace();
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        text.push(' ');
        text.push_str(word);
        // A long message is not copied to its end.
        if text.len() > 4 * MAX_MESSAGE {
            break;
        }
    }
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

fn without_figures(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for character in message.chars() {
        match character {
            '0'..='9' | '.' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str, code: &str, message: &str) -> Record {
        Record::new(id.to_owned(), None, Some(ErrorPart::new(code, message)))
    }

    #[test]
    fn the_most_frequent_come_first_with_their_first_message_and_id() {
        let mut failures = Failures::default();
        failures.note(&failed("a", "deadline", "waited 9.9 s, needs 0.07 s more"));
        failures.note(&failed("b", "deadline", "waited 12 s, needs 1.5 s more"));
        failures.note(&failed("c", "deadline", "waited 12.1 s, needs 3.25 s more"));
        failures.note(&failed("d", "bad_request", "line\n  feed"));
        let top = failures.top(3);
        let shown: Vec<_> = top.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                r#"3 calls, such as "a": deadline: waited 9.9 s, needs 0.07 s more"#,
                r#"1 call, such as "d": bad_request: line feed"#,
            ]
        );
        assert_eq!(failures.top(1).len(), 1);
    }

    #[test]
    fn messages_without_end_and_kinds_without_number_stay_small() {
        let mut failures = Failures::default();
        for kind in 0..10_000_u32 {
            let letters: String = format!("{kind}")
                .bytes()
                .map(|digit| char::from(digit + 49))
                .collect();
            failures.note(&failed("a", &letters, &"word ".repeat(1_000)));
        }
        assert!(failures.kinds.len() <= MAX_KINDS + 1);
        let top = failures.top(1);
        assert_eq!(top[0].code, "(other)");
        assert!(top[0].message.chars().count() <= MAX_MESSAGE + 2);
        let sum: u64 = failures.kinds.values().map(|kind| kind.count).sum();
        assert_eq!(sum, 10_000);
    }
}
