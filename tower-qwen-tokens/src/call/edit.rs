//! Edits JSON in place: every byte outside of an edit stays as it is.
//!
//! The bodies were parsed by the call reader before, so they are valid JSON and not nested too
//! deep. Nothing is checked twice here: other bytes give `None` or a useless edit, but no panic.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use memchr::memchr2;

/// A JSON value inside a body, to be edited.
#[derive(Clone, Copy)]
pub(crate) struct JsonEdit<'a> {
    body: &'a [u8],
    at: usize,
}

/// The name of a member as it is written, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct RawName<'a>(&'a [u8]);

/// What an object has under a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// One value, at these bytes.
    Found(Range<usize>),
    /// No value; the object closes at `end`.
    Missing { end: usize, is_empty: bool },
}

/// A copy of a body with these ranges replaced. They come in ascending order and do not overlap.
pub(crate) fn replaced(body: &[u8], edits: &[(Range<usize>, &[u8])]) -> Bytes {
    // To the byte: `Bytes` takes a full vector over without another allocation.
    let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let removed: usize = edits.iter().map(|(at, _)| at.len()).sum();
    let mut copy = Vec::with_capacity(body.len() - removed + added);
    let mut from = 0;
    for (at, text) in edits {
        copy.extend_from_slice(&body[from..at.start]);
        copy.extend_from_slice(text);
        from = at.end;
    }
    copy.extend_from_slice(&body[from..]);
    copy.into()
}

impl<'a> JsonEdit<'a> {
    /// The value at the start of a body.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// The value that a member of this object has at `value`.
    pub(crate) fn within(self, value: &Range<usize>) -> Self {
        Self {
            body: &self.body[..value.end],
            at: value.start,
        }
    }

    /// Finds the one member of this name.
    ///
    /// `None` where the value is no object, or where it is not certain which value a parser takes:
    /// the name is there twice, or any name is written with escapes.
    pub(super) fn find(self, wanted: &str) -> Option<Lookup> {
        let mut found = None;
        let mut is_empty = true;
        let end = self.members(|name, value| {
            is_empty = false;
            if name.has_escapes() {
                return None;
            }
            let is_second = name.0 == wanted.as_bytes() && found.replace(value).is_some();
            (!is_second).then_some(())
        })?;
        Some(found.map_or(Lookup::Missing { end, is_empty }, Lookup::Found))
    }

    /// Visits the members of this object in order, each with its name and the bytes of its value.
    /// Returns where the object closes; `None` where the value is no object, or as soon as a visit
    /// returns `None`.
    pub(crate) fn members(
        mut self,
        mut visit: impl FnMut(RawName<'a>, Range<usize>) -> Option<()>,
    ) -> Option<usize> {
        self.skip_space();
        self.skip_byte(b'{')?;
        loop {
            self.skip_space();
            match self.peek()? {
                b'}' => return Some(self.at),
                b',' => self.at += 1,
                b'"' => {
                    let name = self.at + 1;
                    self.skip_string()?;
                    let name = RawName(&self.body[name..self.at - 1]);
                    self.skip_space();
                    self.skip_byte(b':')?;
                    self.skip_space();
                    let from = self.at;
                    self.skip_value()?;
                    visit(name, from..self.at)?;
                }
                _ => return None,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn skip_byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// From the quote that opens a string to behind the one that closes it.
    fn skip_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at += memchr2(b'"', b'\\', self.body.get(self.at..)?)?;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some(());
            }
            // The byte after a backslash is never the end of the string, whatever the escape is.
            self.at += 2;
        }
    }

    fn skip_value(&mut self) -> Option<()> {
        // One counter serves both kinds of brackets: in valid JSON they match.
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth == 0 => self.skip_scalar(),
                _ => self.at += 1,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_scalar(&mut self) {
        let is_part = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b'}' | b']');
        while self.peek().is_some_and(is_part) {
            self.at += 1;
        }
    }
}

impl<'a> RawName<'a> {
    /// Whether a parser reads it as this name.
    pub(crate) fn is(self, name: &str) -> bool {
        self.decoded().is_some_and(|decoded| decoded == name)
    }

    fn has_escapes(self) -> bool {
        self.0.contains(&b'\\')
    }

    /// The name as a parser reads it; `None` where it is no text.
    pub(crate) fn decoded(self) -> Option<Cow<'a, str>> {
        if self.has_escapes() {
            let quoted = [b"\"", self.0, b"\""].concat();
            return serde_json::from_slice(&quoted).ok().map(Cow::Owned);
        }
        std::str::from_utf8(self.0).ok().map(Cow::Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const NAMES: [&str; 4] = ["a", "model", "é\"\\", ""];

    /// A name in one of the spellings that JSON has for it.
    fn spelled(name: &str, is_escaped: bool) -> String {
        if is_escaped {
            let units = name.encode_utf16();
            let escapes: String = units.map(|unit| format!("\\u{unit:04x}")).collect();
            return format!("\"{escapes}\"");
        }
        Value::from(name).to_string()
    }

    /// JSON with duplicate and nested names, in any spelling and spacing.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("-1.5e-3".to_owned()),
            any::<u64>().prop_map(|number| number.to_string()),
            "[a-z{}\\[\\]:,\"\\\\ é]{0,8}".prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|list| format!("[{}]", list.join(" ,"))),
                any_object(inner),
            ]
        })
    }

    fn any_object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let member = (
            prop::sample::select(&NAMES[..]),
            any::<bool>(),
            "[ \n\t\r]{0,2}",
            value,
        )
            .prop_map(|(name, is_escaped, space, value)| {
                format!(
                    "{space}{}{space}:{space}{value}{space}",
                    spelled(name, is_escaped)
                )
            });
        prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        /// As if a full parser had read the body and printed the edited members again.
        #[test]
        fn an_edit_changes_its_members_and_no_other_byte(
            object in any_object(any_json()),
            space in "[ \n]{0,2}",
            wanted in prop::sample::select(&NAMES[..]),
        ) {
            let body = format!("{space}{object}{space}");
            let mut found = Vec::new();
            let end = JsonEdit::new(body.as_bytes()).members(|name, value| {
                if name.decoded()? == wanted {
                    found.push(value);
                }
                Some(())
            });
            prop_assert_eq!(end, body.rfind('}'));

            let edits = found.iter().map(|at| (at.clone(), &b"\"new\""[..]));
            let edited = replaced(body.as_bytes(), &edits.collect::<Vec<_>>());
            let mut expected: Value = serde_json::from_str(&body).expect("JSON");
            if let Some(value) = expected.get_mut(wanted) {
                *value = "new".into();
            }
            let parsed: Value = serde_json::from_slice(&edited).expect("JSON");
            prop_assert_eq!(parsed, expected);

            // Putting the old values back gives the old body, byte for byte.
            let mut from = 0;
            let mut restored = Vec::new();
            let mut rest = &edited[..];
            for at in &found {
                let (same, after) = rest.split_at(at.start - from);
                restored.extend_from_slice(same);
                restored.extend_from_slice(&body.as_bytes()[at.clone()]);
                rest = after.strip_prefix(b"\"new\"").expect("the edit");
                from = at.end;
            }
            restored.extend_from_slice(rest);
            prop_assert_eq!(restored, body.as_bytes());
        }

        /// The value that is found is the one that a parser takes, or none where there are two or a
        /// name has escapes.
        #[test]
        fn the_member_is_found_where_it_is_certain(
            object in any_object(any_json()),
            wanted in prop::sample::select(&NAMES[..2]),
        ) {
            let (mut count, mut is_certain) = (0, true);
            JsonEdit::new(object.as_bytes()).members(|name, _| {
                count += usize::from(name.0 == wanted.as_bytes());
                is_certain &= !name.has_escapes();
                Some(())
            });
            let parsed: Value = serde_json::from_str(&object).expect("JSON");
            match JsonEdit::new(object.as_bytes()).find(wanted) {
                Some(Lookup::Found(at)) => {
                    prop_assert!(is_certain && count == 1);
                    let value: Value = serde_json::from_str(&object[at]).expect("JSON");
                    prop_assert_eq!(Some(&value), parsed.get(wanted));
                }
                Some(Lookup::Missing { end, is_empty }) => {
                    prop_assert!(is_certain && parsed.get(wanted).is_none());
                    prop_assert_eq!(end, object.len() - 1);
                    prop_assert_eq!(is_empty, parsed.as_object().expect("an object").is_empty());
                }
                None => prop_assert!(!is_certain || count > 1),
            }
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ ax1".to_vec()), 0..40)) {
            let _ = JsonEdit::new(&body).find("a");
            let mut names = 0;
            JsonEdit::new(&body).members(|name, _| {
                names += usize::from(name.decoded().is_some());
                Some(())
            });
            prop_assert!(names <= body.len());
        }
    }
}
