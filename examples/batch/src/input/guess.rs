//! What a file of the wrong format may be instead.

use super::{format::Format, object::Object, unusable::shown};

/// Names that fields of prompts often have, the likeliest first.
const LIKELY: [&str; 10] = [
    "prompt",
    "text",
    "question",
    "input",
    "instruction",
    "query",
    "content",
    "message",
    "body",
    "title",
];

/// What the file of this line may be instead of `format`, as a question with its answer; `line` is one that is no call.
pub(super) fn guess(format: Format, line: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(line) {
        Ok(text) if !text.contains('\0') => text.trim(),
        _ => return Some("is it text in UTF-8 at all?".to_owned()),
    };
    if text.starts_with('[') {
        return Some("is it one JSON array? Make lines of it: jq -c '.[]'".to_owned());
    }
    if let Ok(Object(fields)) = Object::parse(text.as_bytes()) {
        let has = |name: &str| fields.iter().any(|(field, _)| field == name);
        let texts = fields
            .iter()
            .filter(|(_, value)| value.get().starts_with('"'))
            .map(|(name, value)| (name.as_ref(), value.get().len()));
        return if has("custom_id") && has("response") {
            Some("is it an output of batch? Its input is needed".to_owned())
        } else if has("body") && has("url") {
            // Calls they are, each with the same fault.
            (format != Format::Batch)
                .then(|| "is it a file of calls? --input-format batch".to_owned())
        } else if has("messages") {
            Some("is it JSONL of conversations? --prompt-field messages --model NAME".to_owned())
        } else {
            let field = shown(likely(texts)?);
            Some(format!(
                "is it JSONL of prompts? --prompt-field {field} --model NAME"
            ))
        };
    }
    if text.starts_with('{') {
        return Some(
            "is it JSON over several lines? Make one line of each object: jq -c .".to_owned(),
        );
    }
    for (delimiter, name) in [('\t', "tsv"), (',', "csv")] {
        let columns: Vec<&str> = text
            .split(delimiter)
            .map(|column| column.trim_matches([' ', '"']))
            .collect();
        let are_names = columns.len() > 1
            && columns
                .iter()
                .all(|column| column.len() < 40 && !column.contains(['.', '?', '!']));
        if are_names && format != Format::Csv(delimiter as u8) {
            let field = shown(likely(
                columns.iter().map(|&column| (column, column.len())),
            )?);
            return Some(format!(
                "is it {}? --input-format {name} --prompt-field {field} --model NAME",
                name.to_uppercase()
            ));
        }
    }
    (format != Format::Lines)
        .then(|| "does it hold a prompt a line? --input-format lines --model NAME".to_owned())
}

/// The field that is likeliest to hold prompts: by its name, else the longest.
fn likely<'a>(fields: impl Iterator<Item = (&'a str, usize)> + Clone) -> Option<&'a str> {
    let by_name = LIKELY.iter().find_map(|likely| {
        fields
            .clone()
            .find(|(name, _)| name.eq_ignore_ascii_case(likely))
    });
    by_name
        .or_else(|| fields.max_by_key(|(_, length)| *length))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_likeliest_format_is_guessed() {
        for (format, line, expected) in [
            (
                Format::Batch,
                r#"{"id":1,"prompt":"Hi"}"#,
                "--prompt-field prompt",
            ),
            (
                Format::Batch,
                r#"{"label":"a","review":"It is long."}"#,
                "--prompt-field review",
            ),
            (
                Format::Batch,
                r#"{"messages":[]}"#,
                "--prompt-field messages",
            ),
            (Format::Jsonl, r#"{"prompt":"Hi"}"#, "--prompt-field prompt"),
            (
                Format::Jsonl,
                r#"{"custom_id":"a","url":"/v1","body":{}}"#,
                "--input-format batch",
            ),
            (
                Format::Batch,
                r#"{"custom_id":"a","response":{}}"#,
                "an output of batch",
            ),
            (
                Format::Batch,
                "id,question,lang",
                "--input-format csv --prompt-field question",
            ),
            (
                Format::Batch,
                "\"id\"\t\"text\"",
                "--input-format tsv --prompt-field text",
            ),
            (
                Format::Batch,
                "Why is the sky blue?",
                "--input-format lines",
            ),
            (
                Format::Batch,
                "Hello, world. How are you?",
                "--input-format lines",
            ),
            (Format::Batch, "[", "jq -c '.[]'"),
            (Format::Jsonl, "{", "jq -c ."),
            (Format::Batch, "\u{0}\u{1}", "UTF-8"),
        ] {
            let guessed = guess(format, line.as_bytes()).unwrap_or_default();
            assert!(guessed.contains(expected), "{line}: {guessed}");
        }
        let call = br#"{"custom_id":1,"url":"/v1","body":{}}"#;
        assert_eq!(guess(Format::Batch, call), None);
        assert_eq!(guess(Format::Batch, br#"{"n":1}"#), None);
    }

    proptest! {
        #[test]
        fn any_line_can_be_guessed_about(line in any::<Vec<u8>>()) {
            guess(Format::Batch, &line);
        }
    }
}
