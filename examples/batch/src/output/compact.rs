//! JSON on one line.

/// The same JSON without the white space between its tokens, so that it fits on one line. Numbers and strings stay as
/// they are written. `json` must be valid.
pub(crate) fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_what_stands_between_tokens_goes() {
        for (json, expected) in [
            (
                "{ \"a b\" :\r\n\t[ 1.50 , \"x \\\" y\\\\\" ] }",
                r#"{"a b":[1.50,"x \" y\\"]}"#,
            ),
            (" null ", "null"),
            (r#""\\" "#, r#""\\""#),
        ] {
            assert_eq!(compact(json), expected);
        }
    }

    proptest! {
        #[test]
        fn the_value_stays(strings in proptest::collection::vec(any::<String>(), 0..6), number in any::<i64>()) {
            let value = serde_json::json!({ "strings": strings, "number": number });
            let pretty = serde_json::to_string_pretty(&value)?;
            let line = compact(&pretty);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(serde_json::from_str::<Value>(&line)?, value);
        }
    }
}
