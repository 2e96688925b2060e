//! Events of a compatible stream.

use serde::Serialize;
use serde_json::Value;

use super::{Dialect, Reply};

/// An event of a stream. There are many of them, so they are not built as a [`Value`].
#[derive(Debug, Serialize)]
struct Chunk<'a> {
    choices: &'a [Choice<'a>],
    object: &'static str,
    /// `None` leaves the member out, `Some(None)` is `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Value>>,
    created: u64,
    system_fingerprint: Option<&'static str>,
    model: &'a str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_groq: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Choice<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    finish_reason: Option<&'a str>,
    index: usize,
    logprobs: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Value>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<[Value; 1]>,
}

/// What an event says beside its choices.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) usage: Option<Value>,
    pub(super) timings: Option<Value>,
    pub(super) x_groq: Option<Value>,
}

pub(super) fn choice<'a>(
    index: usize,
    delta: Delta<'a>,
    finish_reason: Option<&'a str>,
) -> Choice<'a> {
    Choice {
        delta: Some(delta),
        text: None,
        finish_reason,
        index,
        logprobs: None,
        usage: None,
    }
}

pub(super) fn continued<'a>(
    index: usize,
    text: &'a str,
    finish_reason: Option<&'a str>,
) -> Choice<'a> {
    Choice {
        delta: None,
        text: Some(text),
        finish_reason,
        index,
        logprobs: None,
        usage: None,
    }
}

pub(super) fn chunk(reply: &Reply, choices: &[Choice<'_>], beside: Beside) -> String {
    let usage = match beside.usage {
        Some(usage) => Some(Some(usage)),
        None => reply.profile.null_usage.then_some(None),
    };
    let chunk = Chunk {
        choices,
        object: match reply.dialect {
            Dialect::Completions => "text_completion",
            _ => "chat.completion.chunk",
        },
        usage,
        created: reply.created,
        system_fingerprint: None,
        model: &reply.model,
        id: id(reply),
        timings: beside.timings,
        x_groq: beside.x_groq,
    };
    let data = serde_json::to_string(&chunk).unwrap_or_default();
    format!("data: {data}\n\n")
}

pub(super) fn id(reply: &Reply) -> String {
    match reply.dialect {
        Dialect::Completions => format!("cmpl-{}", reply.id),
        _ => format!("chatcmpl-{}", reply.id),
    }
}
