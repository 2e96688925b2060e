//! Whether a stated usage can be.

use http::{HeaderMap, header::SERVER};
use serde::de::IgnoredAny;

use crate::{Call, Dialect, Usage, call::JsonEdit, data::WindowBook};

/// The window of a model that is not listed: the largest that is known. Unit: tokens.
// `qwen-long` takes 10 million; no model takes more.
const UNKNOWN_WINDOW: u64 = 10_000_000;
/// How much longer than its bytes a prompt may be. Unit: tokens.
// A byte is at most one token, but hosts add prompts of their own: frames of templates, hidden
// instructions, results of a search. Seen were up to 2,700.
const ADDED_BY_HOST: u64 = 8_192;
/// What a body may name that adds to the prompt what is not in the body: places, files, earlier
/// answers, tools of the host. Pictures, sounds and videos are here too, as they have no limit of
/// tokens per byte.
// As they stand in JSON: a quotation within a text has a backslash before its quote.
const OUTSIDE: [&str; 20] = [
    "://",
    ":\\/\\/",
    "data:",
    "\"file_id\"",
    "\"file_ids\"",
    "\"previous_response_id\"",
    "\"conversation\"",
    "\"session_id\"",
    "\"enable_search\"",
    "\"search_",
    "\"web_",
    "\"file_search\"",
    "\"tool_search",
    "\"code_interpreter\"",
    "\"code_execution",
    "\"mcp\"",
    "\"mcp_servers\"",
    "\"plugins\"",
    "\"input_audio\"",
    "\"computer",
];

/// How many answers a call has, and to each of its prompts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    pub(super) all: u32,
    pub(super) per_prompt: u32,
}

impl Answers {
    pub(super) fn of(call: &Call) -> Self {
        let Some(read) = call.model_call() else {
            return Self {
                all: 1,
                per_prompt: 1,
            };
        };
        let prompts = match (read.dialect, call.body()) {
            (Dialect::Completions, Some(body)) => prompts(body),
            _ => 1,
        };
        Self {
            all: read.choices.saturating_mul(prompts),
            per_prompt: read.choices,
        }
    }
}

/// Whether the model can have read and written as much as the host states.
pub(super) fn is_possible(
    usage: &Usage,
    call: &Call,
    answers: Answers,
    model: &str,
    windows: &WindowBook,
) -> bool {
    let Some((input, output)) = usage.input_and_output() else {
        return true;
    };
    let is_embedding = call
        .model_call()
        .is_some_and(|call| call.dialect.is_embedding());
    // Each of the texts to embed has the window to itself, and the bytes bound them all.
    let window = windows.window(model).filter(|_| !is_embedding);
    let window = window.map_or(UNKNOWN_WINDOW, |window| window.context);
    let answers = u64::from(answers.all);
    if input.saturating_add(output) > window.saturating_mul(answers) {
        return false;
    }
    let Some(body) = call.body() else {
        return true;
    };
    input <= (body.len() as u64).saturating_add(ADDED_BY_HOST) || names_outside(body)
}

/// Whether the host is one that states the usage of one answer where a whole JSON answer has several.
// llama-server (run, 11434): of several prompts it states the first one's input too.
pub(super) fn states_one(headers: &HeaderMap) -> bool {
    headers
        .get(SERVER)
        .is_some_and(|server| server.as_bytes() == b"llama.cpp")
}

/// The usage of all answers, by that of one. An estimate: answers differ in length.
pub(super) fn of_all_answers(one: Usage, answers: Answers, input_estimate: Option<u64>) -> Usage {
    let has_prompts = answers.all > answers.per_prompt;
    let all = u64::from(answers.all);
    Usage {
        input_tokens: one.input_tokens.max(input_estimate.filter(|_| has_prompts)),
        output_tokens: one.output_tokens.map(|output| output.saturating_mul(all)),
        ..Usage::default()
    }
}

/// Whether a stated output can be that of all answers of a call, by the text that they hold.
// A gateway may hide which host it is. One answer of two is half of the text; estimates of it are
// off by a seventh in one of twenty cases, so the border is between the half and the whole.
pub(super) fn is_of_all_answers(usage: &Usage, delivered: u64, answers: Answers) -> bool {
    let output = usage.output_tokens.unwrap_or(u64::MAX);
    answers.all < 2 || output.saturating_mul(4) >= delivered.saturating_mul(3)
}

fn names_outside(body: &[u8]) -> bool {
    OUTSIDE
        .iter()
        .any(|name| memchr::memmem::find(body, name.as_bytes()).is_some())
}

/// How many prompts a completion has: texts, or lists of tokens.
fn prompts(body: &[u8]) -> u32 {
    let mut count = 1;
    JsonEdit::new(body).members(|name, value| {
        let value = &body[value];
        let first = value
            .get(1..)
            .unwrap_or_default()
            .trim_ascii_start()
            .first();
        if name.decoded()? == "prompt"
            && matches!((value.first(), first), (Some(b'['), Some(b'"' | b'[')))
        {
            let list: Vec<IgnoredAny> = serde_json::from_slice(value).ok()?;
            count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        }
        Some(())
    });
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_counted() {
        for (body, expected) in [
            (r#"{"prompt":"a"}"#, 1),
            (r#"{"prompt":["a"]}"#, 1),
            (r#"{"prompt": [ "a", "b" ] }"#, 2),
            (r#"{"prompt":[[1,2],[3],[4]]}"#, 3),
            (r#"{"prompt":[1,2,3]}"#, 1),
            (r#"{"prompt":[]}"#, 1),
            (r#"{"messages":["a","b"]}"#, 1),
            ("{}", 1),
            ("", 1),
        ] {
            assert_eq!(prompts(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_lies_outside_is_seen_where_it_is_named() {
        for (body, expected) in [
            (r#"{"messages":[{"content":"hello"}]}"#, false),
            (
                r#"{"messages":[{"content":"what is \"file_id\"?"}]}"#,
                false,
            ),
            (
                r#"{"tools":[{"type":"function","function":{"name":"f"}}]}"#,
                false,
            ),
            (r#"{"image_url":{"url":"https://a.example/b.png"}}"#, true),
            (
                r#"{"image_url":{"url":"https:\/\/a.example\/b.png"}}"#,
                true,
            ),
            (r#"{"content":"fileid://file-1"}"#, true),
            (r#"{"image":"data:image/png;base64,AA"}"#, true),
            (r#"{"input":[{"type":"input_file","file_id":"f"}]}"#, true),
            (r#"{"previous_response_id":"r"}"#, true),
            (r#"{"tools":[{"type":"web_search"}]}"#, true),
            (r#"{"parameters":{"enable_search":true}}"#, true),
        ] {
            assert_eq!(names_outside(body.as_bytes()), expected, "{body}");
        }
    }
}
