//! What an output file holds already.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufRead},
};

use serde::{Deserialize, de::IgnoredAny};

use super::record::{MADE_UP, is_success};
use crate::ids::Ids;

const BEGINNING: &[u8] = br#"{"id":""#;

/// What was found in an output file.
#[derive(Debug, Default)]
pub struct Existing {
    /// Ids with an answer.
    pub answered: Ids,
    /// Lines of calls that failed, or whose id was answered already. They are to go.
    pub stale: u64,
    /// Length of all that is whole. Unit: bytes.
    pub whole: u64,
    /// Bytes of a torn line after that.
    pub torn: u64,
    /// The last line is whole, but for its line feed.
    pub unterminated: bool,
    /// Who gave the answers, with the line of the first one; `None` for answers that do not say.
    pub providers: BTreeMap<Option<String>, u64>,
}

/// An answer of another provider than the one that the calls go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherProvider {
    /// The number of its line, from 1.
    pub line: u64,
    /// Who gave it, if it says.
    pub name: Option<String>,
    /// Whom the calls go to: one of these.
    pub expected: String,
}

/// A line that no batch wrote: the file is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// Its number, from 1.
    pub line: u64,
}

/// What one line of an output file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Answer,
    Stale,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Option<String>,
    /// `null` only for a line of the input that was no call.
    custom_id: Option<String>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    response: Option<Answer>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Answer {
    status_code: u16,
}

/// Reads an output file line by line, changes nothing, and hands each line that is to stay to `keep`.
///
/// # Errors
///
/// As reading does; [`Foreign`] inside of it where a line other than the last is not of this format.
pub fn scan(
    mut file: impl BufRead,
    mut keep: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Existing> {
    let mut existing = Existing::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            return Ok(existing);
        }
        number += 1;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let terminated = line.last() == Some(&b'\n');
        if terminated && line.trim_ascii().is_empty() {
            existing.whole += length;
            continue;
        }
        match existing.sort(line.trim_ascii(), number) {
            Some(found) => {
                existing.whole += length;
                existing.unterminated = !terminated;
                if found == Found::Answer {
                    keep(line.trim_ascii())?;
                }
            }
            None if !terminated && is_torn(&line) => existing.torn = length,
            None => return Err(io::Error::other(Foreign { line: number })),
        }
    }
}

/// Whether this may be what a killed process or machine left of a line: its beginning, or blocks never filled.
fn is_torn(line: &[u8]) -> bool {
    let shared = line.len().min(BEGINNING.len());
    line[..shared] == BEGINNING[..shared] || line.iter().all(|&byte| byte == 0)
}

impl Existing {
    fn sort(&mut self, line: &[u8], number: u64) -> Option<Found> {
        let line: Line = serde_json::from_slice(line).ok()?;
        if line.response.is_none() && line.error.is_none() {
            return None;
        }
        let status = line.response.map(|answer| answer.status_code);
        let is_answer = is_success(status, line.error.is_some());
        let is_ours = line.id.is_some_and(|id| id.starts_with(MADE_UP));
        if line.custom_id.is_none() && (is_answer || !is_ours) {
            return None;
        }
        let id = line.custom_id.filter(|_| is_answer);
        match id.map(|id| self.answered.insert(&id, number)) {
            Some(None) => {
                self.providers.entry(line.provider).or_insert(number);
                Some(Found::Answer)
            }
            Some(Some(_)) | None => {
                self.stale += 1;
                Some(Found::Stale)
            }
        }
    }
}

impl Existing {
    /// The first answer that is from none of these providers.
    #[must_use]
    pub fn other_than<P: AsRef<str>>(&self, providers: &[P]) -> Option<OtherProvider> {
        let others = self.providers.iter().filter(|(name, _)| {
            let mut providers = providers.iter().map(AsRef::as_ref);
            !name
                .as_deref()
                .is_some_and(|name| providers.any(|one| one == name))
        });
        let (name, line) = others.min_by_key(|(_, line)| **line)?;
        Some(OtherProvider {
            line: *line,
            name: name.clone(),
            expected: providers
                .iter()
                .map(AsRef::as_ref)
                .collect::<Vec<_>>()
                .join(" or "),
        })
    }
}

impl fmt::Display for OtherProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            name,
            expected,
        } = self;
        match name {
            Some(name) => write!(f, "line {line} was answered by {name}")?,
            None => write!(f, "line {line} does not say which provider answered it")?,
        }
        write!(
            f,
            ", and the calls go to {expected}: name another file with --output. Nothing was changed"
        )
    }
}

impl std::error::Error for OtherProvider {}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} is not of a batch output; nothing was changed",
            self.line
        )
    }
}

impl std::error::Error for Foreign {}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"id":"i","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{}},"error":null}"#;
    const FAILED: &str =
        r#"{"id":"i","custom_id":"b","response":null,"error":{"code":"c","message":"m"}}"#;

    fn sorted(text: &str) -> io::Result<(Existing, Vec<String>)> {
        let mut kept = Vec::new();
        let existing = scan(text.as_bytes(), |line| {
            kept.push(String::from_utf8_lossy(line).into_owned());
            Ok(())
        })?;
        Ok((existing, kept))
    }

    #[test]
    fn answers_stay_and_failures_and_repeats_go() -> io::Result<()> {
        let refused = ANSWER.replace("200", "429").replace(r#""a""#, r#""c""#);
        let bad = FAILED
            .replace(r#""b""#, "null")
            .replace(r#""i""#, r#""batch_req_1""#);
        let text = format!("{ANSWER}\n{FAILED}\n\n{refused}\r\n{bad}\n{ANSWER}\n");
        let (existing, kept) = sorted(&text)?;
        assert_eq!(kept, [ANSWER]);
        assert!(existing.answered.contains("a"));
        assert!(!existing.answered.contains("b") && !existing.answered.contains("c"));
        assert_eq!((existing.stale, existing.torn), (4, 0));
        Ok(())
    }

    #[test]
    fn the_first_answer_of_another_provider_is_named() -> io::Result<()> {
        let of = |provider: &str, id: &str| {
            ANSWER.replace(
                r#""custom_id":"a""#,
                &format!(r#""custom_id":"{id}","provider":"{provider}""#),
            )
        };
        let failed = FAILED.replace(r#""custom_id""#, r#""provider":"third","custom_id""#);
        let text = format!(
            "{failed}\n{}\n{}\n{}\n",
            of("one", "a"),
            of("two", "b"),
            of("one", "c")
        );
        let (existing, _) = sorted(&text)?;
        let other = existing.other_than(&["one"]).expect("the second answer");
        assert_eq!((other.line, other.name.as_deref()), (3, Some("two")));
        let other = existing
            .other_than(&["third"])
            .expect("a failed line is none");
        assert_eq!((other.line, other.name.as_deref()), (2, Some("one")));
        let (existing, _) = sorted(&of("one", "a"))?;
        assert_eq!(existing.other_than(&["one"]), None);
        let (existing, _) = sorted(ANSWER)?;
        let unmarked = existing
            .other_than(&["one"])
            .expect("an answer without a mark");
        assert!(
            unmarked
                .to_string()
                .starts_with("line 1 does not say which provider")
        );
        Ok(())
    }

    #[test]
    fn an_empty_file_holds_nothing() -> io::Result<()> {
        let (existing, kept) = sorted("")?;
        assert!(existing.answered.is_empty() && kept.is_empty());
        assert_eq!(
            (existing.whole, existing.torn, existing.unterminated),
            (0, 0, false)
        );
        Ok(())
    }

    #[test]
    fn blocks_never_filled_count_as_torn() -> io::Result<()> {
        let (existing, kept) = sorted(&format!("{ANSWER}\n{}", "\0".repeat(9)))?;
        assert_eq!((existing.torn, kept.len()), (9, 1));
        Ok(())
    }

    #[test]
    fn a_file_of_somebody_else_is_not_touched() {
        for text in [
            "hello\n",
            "a note of one line without an end",
            "{\"idea\":",
            "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":{}}\n",
            "{\"id\":1}\n",
            "{\"id\":\"7\",\"error\":\"a log of something else\"}\n",
            "[1]\nx",
        ] {
            let error = sorted(text).expect_err("foreign");
            let foreign = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Foreign>());
            assert_eq!(foreign, Some(&Foreign { line: 1 }), "{text}");
        }
    }
}
