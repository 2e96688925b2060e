//! Whether an answer says why it ends.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What an answer says of its end.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    output: Option<Output<'a>>,
}

/// The inside of a native answer.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

/// Whether an answer has a text that gives no reason for its end: it may have been cut on the way to whoever answers.
#[must_use]
pub fn is_open(body: &str) -> bool {
    // What has another shape is no answer in words.
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(body) else {
        return false;
    };
    let output = answer.output.as_ref();
    let of_output = output.and_then(|output| output.choices.as_ref());
    match (answer.choices.as_ref().or(of_output), output) {
        (Some(choices), _) => {
            choices.is_empty()
                || choices
                    .iter()
                    .any(|choice| !is_reason(choice.finish_reason))
        }
        (None, Some(output)) => output.text.is_some() && !is_reason(output.finish_reason),
        (None, None) => false,
    }
}

fn is_reason(reason: Option<&RawValue>) -> bool {
    reason.is_some_and(|reason| !matches!(reason.get(), "null" | r#""""# | r#""null""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_gives_a_reason_for_its_end() {
        for (body, expected) in [
            (r#"{"choices":[{"finish_reason":"stop"}]}"#, false),
            (
                r#"{"choices":[{"finish_reason":"length"},{"finish_reason":null}]}"#,
                true,
            ),
            (r#"{"choices":[{"finish_reason":""}]}"#, true),
            (r#"{"choices":[{"message":{"content":"\ud83d"}}]}"#, true),
            (r#"{"choices":[]}"#, true),
            (r#"{"output":{"text":"a","finish_reason":"null"}}"#, true),
            (r#"{"output":{"text":"a","finish_reason":"stop"}}"#, false),
            (r#"{"output":{"choices":[{"finish_reason":"null"}]}}"#, true),
            (
                r#"{"output":{"choices":[{"finish_reason":"stop"}]}}"#,
                false,
            ),
            (r#"{"output":{"embeddings":[]}}"#, false),
            (r#"{"output":{"audio":{}}}"#, false),
            (r#"{"data":[]}"#, false),
            (r#"{"choices":1,"output":[]}"#, false),
            ("[]", false),
        ] {
            assert_eq!(is_open(body), expected, "{body}");
        }
    }
}
