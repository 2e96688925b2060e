//! Asks a compatible stream for its usage: `stream_options.include_usage` in the request's body.

use std::ops::Range;

use bytes::Bytes;

use super::edit::{JsonEdit, replaced};

/// A copy of a request's body that asks for usage in its stream.
///
/// Where `stream_options` is there twice, or written with escapes, all of them ask: which one a
/// parser takes, or whether it knows the name, does not matter then. `None` where it asks already,
/// or where a `stream_options` is of another kind.
pub(super) fn with_usage(body: &[u8]) -> Option<Bytes> {
    let mut edits: Vec<(Range<usize>, &[u8])> = Vec::new();
    let mut is_missing = true;
    let mut is_empty = true;
    let request = JsonEdit::new(body);
    let end = request.members(|name, value| {
        is_empty = false;
        if !name.is("stream_options") {
            return Some(());
        }
        is_missing = false;
        if &body[value.clone()] == b"null" {
            edits.push((value, br#"{"include_usage":true}"#));
            return Some(());
        }
        let (mut has_flag, mut is_empty) = (false, true);
        let options = request.within(&value);
        options.members(|name, value| {
            is_empty = false;
            if name.is("include_usage") {
                has_flag = true;
                match &body[value.clone()] {
                    b"true" => {}
                    b"false" | b"null" => edits.push((value, b"true")),
                    _ => return None,
                }
            }
            Some(())
        })?;
        if !has_flag {
            // At the front: behind the brace that opens the object there is no comma to look for.
            let at = value.start + 1;
            let flag: &[u8] = if is_empty {
                br#""include_usage":true"#
            } else {
                br#""include_usage":true,"#
            };
            edits.push((at..at, flag));
        }
        Some(())
    })?;
    if is_missing {
        let options: &[u8] = if is_empty {
            br#""stream_options":{"include_usage":true}"#
        } else {
            br#","stream_options":{"include_usage":true}"#
        };
        edits.push((end..end, options));
    }
    (!edits.is_empty()).then(|| replaced(body, &edits))
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
    fn every_spelling_and_every_copy_asks() {
        for (body, expected) in [
            (
                r#"{"stream_options":{"include_usage":false,"include_usage":null}}"#,
                r#"{"stream_options":{"include_usage":true,"include_usage":true}}"#,
            ),
            (
                r#"{"stream_options":{"include\u005fusage":false}}"#,
                r#"{"stream_options":{"include\u005fusage":true}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":true},"stream_options":{},"a":1}"#,
                r#"{"stream_options":{"include_usage":true},"stream_options":{"include_usage":true},"a":1}"#,
            ),
            (
                r#"{"stream\u005foptions":{"x":1},"stream_options":null}"#,
                r#"{"stream\u005foptions":{"include_usage":true,"x":1},"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"\ud83d":1}"#,
                r#"{"\ud83d":1,"stream_options":{"include_usage":true}}"#,
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
            r#"{"stream_options":{"include_usage":true},"stream_options":[]}"#,
            r#"{"stream_options":{"include\u005fusage":true}}"#,
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
