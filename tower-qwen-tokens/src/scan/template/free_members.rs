//! Members whose values mean nothing to the scan and differ from event to event: ids, times, padding.

use std::ops::Range;

use crate::scan::{
    key::Key,
    lexer::{self, Value},
};

use super::placeholder::PlaceholderKind;

/// How many members are remembered of a stream: hosts have one to three. With more, comparing would cost as much as reading.
const MAX_NAMES: usize = 6;
/// The longest name that is remembered. Unit: bytes. `system_fingerprint` has 18.
const MAX_NAME: usize = 40;

/// The names of such members, as they were found in one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct FreeMembers {
    names: Vec<Box<[u8]>>,
}

/// A member of a JSON document whose value is no object and no list.
struct Member<'a> {
    name: &'a [u8],
    value: Range<usize>,
    kind: PlaceholderKind,
}

impl FreeMembers {
    /// Remembers the member whose value in this data is at `at`, where it has one that means nothing.
    pub(super) fn learn(&mut self, data: &[u8], at: usize) {
        if self.names.len() == MAX_NAMES {
            return;
        }
        let is_there = |member: &Member<'_>| {
            let value = &member.value;
            (value.start..=value.end).contains(&at)
        };
        if let Some(member) = members(data).find(is_there)
            && member.name.len() <= MAX_NAME
            && matches!(Key::of(member.name), None | Some(Key::Id))
            && !self.has(member.name)
        {
            self.names.push(member.name.into());
        }
    }

    /// The values of the members that are remembered, in their order in this data.
    pub(super) fn values<'a>(
        &'a self,
        data: &'a [u8],
    ) -> impl Iterator<Item = (Range<usize>, PlaceholderKind)> + 'a {
        // Most streams have none, and are not looked through.
        let data = match self.names.is_empty() {
            true => &[],
            false => data,
        };
        members(data)
            .filter(|member| self.has(member.name))
            .map(|member| (member.value, member.kind))
    }

    fn has(&self, name: &[u8]) -> bool {
        self.names.iter().any(|known| **known == *name)
    }
}

/// The members that are written as JSON asks for it: behind a brace or a comma, and before one. Of all others it is not certain that
/// the scan takes them for what they look like.
fn members(data: &[u8]) -> impl Iterator<Item = Member<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(length) = data.get(at..).and_then(lexer::end_of_string) {
            // Outside of strings no escape is any: such data is no JSON.
            if data[at + length] != b'"' {
                return None;
            }
            let before = last_token(&data[at..at + length]);
            let start = at + length + 1;
            let end = start + string(&data[start..])?;
            at = end + 1;
            if matches!(before, Some(b'{' | b','))
                && let Some((value, kind)) = value(data, at)
            {
                at = value.end + usize::from(kind == PlaceholderKind::Id);
                let name = &data[start..end];
                return Some(Member { name, value, kind });
            }
        }
        None
    })
}

/// The value behind the name that ends here.
fn value(data: &[u8], from: usize) -> Option<(Range<usize>, PlaceholderKind)> {
    let colon = skip_space(data, from);
    if data.get(colon) != Some(&b':') {
        return None;
    }
    let start = skip_space(data, colon + 1);
    let (value, behind, kind) = if data.get(start) == Some(&b'"') {
        let end = start + 1 + string(&data[start + 1..])?;
        (start + 1..end, end + 1, PlaceholderKind::Id)
    } else {
        let Value::Whole { length, .. } = lexer::bare(&data[start..]) else {
            return None;
        };
        let end = start + length;
        (start..end, end, PlaceholderKind::Bare)
    };
    let next = data.get(skip_space(data, behind));
    matches!(next, Some(b',' | b'}')).then_some((value, kind))
}

/// The length of the string that begins here, up to its quote.
fn string(bytes: &[u8]) -> Option<usize> {
    match lexer::text(bytes) {
        Value::Whole { length, .. } => Some(length),
        _ => None,
    }
}

fn skip_space(data: &[u8], from: usize) -> usize {
    let rest = data.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| **byte == b' ').count()
}

fn last_token(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().copied().find(|byte| *byte != b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(data: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let of = |member: Member<'_>| (text(member.name), text(&data.as_bytes()[member.value]));
        members(data.as_bytes()).map(of).collect()
    }

    #[test]
    fn members_are_found_where_they_are_written_as_json() {
        let found = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(own).collect()
        };
        for (data, expected) in [
            (
                r#"{"a":"x", "b" : 1.5,"c":[1,"y"],"d":{"e":null}}"#,
                &[("a", "x"), ("b", "1.5"), ("e", "null")][..],
            ),
            (
                r#"{"a":"x\"y","b":"\\"}"#,
                &[("a", "x\\\"y"), ("b", "\\\\")],
            ),
            (r#"{"a":"x" "b":"y","c":"z"}"#, &[("c", "z")]),
            (r#"{"a":1 2}"#, &[]),
            (r#"["a","b"]"#, &[]),
            (r#"{"a":"#, &[]),
            (r#"{"a":"x"#, &[]),
            (r#"\"a":1}"#, &[]),
            ("", &[]),
        ] {
            assert_eq!(names(data), found(expected), "{data}");
        }
    }

    #[test]
    fn a_member_that_means_something_is_never_free() {
        let data = br#"{"finish_reason":"a","code":"b","stamp":1.5,"text":"c"}"#;
        let mut free = FreeMembers::default();
        for at in 0..=data.len() {
            free.learn(data, at);
        }
        assert_eq!(free.names, [Box::from(&b"stamp"[..])]);
        let values: Vec<_> = free.values(data).collect();
        assert_eq!(values, [(40..43, PlaceholderKind::Bare)]);
    }
}
