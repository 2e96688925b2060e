//! Asking for usage by writing into the bytes of a request, which stay as they are otherwise.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

/// A copy of a request's body that asks for usage in its stream.
///
/// The body was read before, so it is one JSON object. `None` where what stands there is ambiguous (a member twice, a
/// name with escapes) or of another kind, and where it asks already.
pub(super) fn with_usage(body: &[u8]) -> Option<Bytes> {
    let mut request = Walk::new(body);
    let options = request.member("stream_options")?;
    let edit = match options {
        Member::Absent { end, is_empty } => Edit::insert(
            end,
            if is_empty {
                r#""stream_options":{"include_usage":true}"#
            } else {
                r#","stream_options":{"include_usage":true}"#
            },
        ),
        Member::Value(value) if &body[value.clone()] == b"null" => Edit {
            at: value,
            text: r#"{"include_usage":true}"#,
        },
        Member::Value(value) => {
            let mut options = Walk {
                bytes: &body[..value.end],
                at: value.start,
            };
            match options.member("include_usage")? {
                Member::Absent { is_empty, .. } => Edit::insert(
                    value.start + 1,
                    if is_empty {
                        r#""include_usage":true"#
                    } else {
                        r#""include_usage":true,"#
                    },
                ),
                Member::Value(value) if matches!(&body[value.clone()], b"false" | b"null") => {
                    Edit {
                        at: value,
                        text: "true",
                    }
                }
                Member::Value(_) => return None,
            }
        }
    };
    Some(edit.apply(body))
}

/// What is written, and in the place of which bytes.
struct Edit {
    at: Range<usize>,
    text: &'static str,
}

/// What an object has under a name.
pub(super) enum Member {
    Value(Range<usize>),
    /// Nothing; the object closes there.
    Absent {
        end: usize,
        is_empty: bool,
    },
}

/// Walks over JSON that is known to be valid.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Edit {
    fn insert(at: usize, text: &'static str) -> Self {
        Self { at: at..at, text }
    }

    fn apply(self, body: &[u8]) -> Bytes {
        [
            &body[..self.at.start],
            self.text.as_bytes(),
            &body[self.at.end..],
        ]
        .concat()
        .into()
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Looks through the object that comes next. `None` where that is no object, or its names leave doubts.
    pub(super) fn member(&mut self, wanted: &str) -> Option<Member> {
        self.skip_space();
        self.expect(b'{')?;
        let mut found = None;
        let mut is_empty = true;
        loop {
            self.skip_space();
            match self.peek()? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    is_empty = false;
                    let name = self.at + 1;
                    self.skip_string()?;
                    let name = &self.bytes[name..self.at - 1];
                    if name.contains(&b'\\') {
                        return None;
                    }
                    self.skip_space();
                    self.expect(b':')?;
                    self.skip_space();
                    let from = self.at;
                    self.skip_value()?;
                    if name == wanted.as_bytes() && found.replace(from..self.at).is_some() {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        let end = self.at;
        Some(found.map_or(Member::Absent { end, is_empty }, Member::Value))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
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
            self.at += memchr2(b'"', b'\\', self.bytes.get(self.at..)?)?;
            if self.peek()? == b'"' {
                self.at += 1;
                return Some(());
            }
            self.at += 2;
        }
    }

    fn skip_value(&mut self) -> Option<()> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn asking(body: &str) -> Option<String> {
        with_usage(body.as_bytes()).map(|body| String::from_utf8(body.to_vec()).expect("text"))
    }

    #[test]
    fn the_request_asks_and_is_the_same_otherwise() {
        for (body, expected) in [
            ("{}", r#"{"stream_options":{"include_usage":true}}"#),
            (
                r#" { "a" : 1 } "#,
                r#" { "a" : 1 ,"stream_options":{"include_usage":true}} "#,
            ),
            (
                r#"{"stream_options":null,"a":1}"#,
                r#"{"stream_options":{"include_usage":true},"a":1}"#,
            ),
            (
                r#"{"stream_options": {} }"#,
                r#"{"stream_options": {"include_usage":true} }"#,
            ),
            (
                r#"{"stream_options":{"x":[1]}}"#,
                r#"{"stream_options":{"include_usage":true,"x":[1]}}"#,
            ),
            (
                r#"{"stream_options":{"x":1,"include_usage": false}}"#,
                r#"{"stream_options":{"x":1,"include_usage": true}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":null }}"#,
                r#"{"stream_options":{"include_usage":true }}"#,
            ),
            (
                r#"{"messages":[{"content":"\\\"},stream_options"}]}"#,
                r#"{"messages":[{"content":"\\\"},stream_options"}],"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"a":{"stream_options":{}}}"#,
                r#"{"a":{"stream_options":{}},"stream_options":{"include_usage":true}}"#,
            ),
        ] {
            assert_eq!(asking(body).as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn what_leaves_doubts_is_left_alone() {
        for body in [
            r#"{"stream_options":{"include_usage":true}}"#,
            r#"{"stream_options":{"include_usage":"yes"}}"#,
            r#"{"stream_options":{"include_usage":false,"include_usage":false}}"#,
            r#"{"stream_options":{"include\u005fusage":false}}"#,
            r#"{"stream_options":{},"stream_options":{}}"#,
            r#"{"stream\u005foptions":{}}"#,
            r#"{"stream_options":[]}"#,
            r#"{"stream_options":"x"}"#,
            r#"{"stream_options":7}"#,
            "[]",
            "",
            "{",
            r#"{"a"#,
            r#"{"a":"\"#,
        ] {
            assert_eq!(asking(body), None, "{body}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\\n{}:,]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[a-z{}:,]{0,4}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// As if it had been written by a full parser.
        #[test]
        fn one_member_changes(
            members in prop::collection::hash_map("[a-z{}:, ]{0,6}", any_value(), 0..5),
            options in prop::option::of(prop_oneof![
                Just(Value::Null),
                Just(json!({})),
                any_value().prop_map(|value| json!({ "include_usage": false, "x": value })),
                any_value().prop_map(|value| json!({ "x": value })),
            ]),
            is_pretty in any::<bool>(),
        ) {
            let mut request = Value::Object(members.into_iter().collect());
            if let Some(options) = options {
                request["stream_options"] = options;
            }
            let body = if is_pretty { format!("{request:#}") } else { request.to_string() };
            let asking = with_usage(body.as_bytes()).expect("an object without doubts");
            let asking: Value = serde_json::from_slice(&asking).expect("JSON");
            if request["stream_options"].is_null() {
                request["stream_options"] = json!({});
            }
            request["stream_options"]["include_usage"] = json!(true);
            prop_assert_eq!(asking, request);
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ ax1".to_vec()), 0..40)) {
            let asking = with_usage(&body);
            prop_assert!(asking.is_none_or(|asking| asking.len() + 1 >= body.len()));
        }
    }
}
