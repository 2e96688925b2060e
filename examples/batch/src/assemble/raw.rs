//! JSON with its texts as they are written.
//!
//! A character may be cut in two by the end of an event: `\ud83d` here, `\ude42` in the next one. No text can hold half of
//! it, but what is written can: so texts are put together as they stand between their quotes.

/// The same JSON with texts that, once parsed, are what is written between their quotes. `NaN` and the infinities, which
/// servers in Python write and JSON does not have, become `null`.
pub(super) fn quoted(json: &str) -> String {
    // Few characters are escaped: an eighth more is room for nearly all events.
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let mut chars = json.chars();
    let mut in_text = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                in_text = !in_text;
                out.push(c);
            }
            '\\' if in_text => {
                out.push_str(r"\\");
                if let Some(escaped) = chars.next() {
                    if matches!(escaped, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(escaped);
                }
            }
            'N' | 'I' | '-' if !in_text => match no_number(c, chars.as_str()) {
                Some(rest) => {
                    out.push_str("null");
                    chars = rest.chars();
                }
                None => out.push(c),
            },
            c => out.push(c),
        }
    }
    out
}

/// What comes after a number that is none, of which this is the first character.
fn no_number(first: char, rest: &str) -> Option<&str> {
    match first {
        'N' => rest.strip_prefix("aN"),
        'I' => rest.strip_prefix("nfinity"),
        _ => rest.strip_prefix("Infinity"),
    }
}

/// The opposite of [`quoted`].
pub(super) fn unquoted(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut chars = json.chars();
    while let Some(c) = chars.next() {
        // Behind a backslash stands the character that is written.
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The same JSON, with `null` for what is no number: what a strict parser takes.
#[must_use]
pub fn strict(json: &str) -> String {
    unquoted(&quoted(json))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_no_number_becomes_null_and_texts_stay() {
        for (json, expected) in [
            (
                r#"{"a":NaN,"b":[-Infinity,Infinity,-1],"NaN":"-Infinity \" NaN \\"}"#,
                r#"{"a":null,"b":[null,null,-1],"NaN":"-Infinity \" NaN \\"}"#,
            ),
            (r#"["\ud83d","\/\u00e9"]"#, r#"["\ud83d","\/\u00e9"]"#),
            ("N", "N"),
            (r#""\"#, r#""\"#),
        ] {
            assert_eq!(strict(json), expected);
        }
    }

    #[test]
    fn a_parsed_text_is_what_is_written() -> Result<(), serde_json::Error> {
        for text in [r"\ud83d", r#"a\"b\\"#, r"\n\/", "你"] {
            let parsed: Value = serde_json::from_str(&quoted(&format!("\"{text}\"")))?;
            assert_eq!(parsed, text);
            assert_eq!(unquoted(&parsed.to_string()), format!("\"{text}\""));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn json_comes_back_as_it_was(texts in proptest::collection::vec(any::<String>(), 0..6), number in any::<i64>()) {
            let json = serde_json::json!({ "texts": texts, "number": number }).to_string();
            prop_assert_eq!(strict(&json), json.clone());
            let parsed: Value = serde_json::from_str(&quoted(&json))?;
            prop_assert_eq!(unquoted(&parsed.to_string()), json);
        }
    }
}
