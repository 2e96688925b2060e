//! Answers in the compatible dialect.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Reply, Usage};
use crate::request::Delivery;

/// An event of a stream. There are many of them, so they are not built as a [`Value`].
#[derive(Debug, Serialize)]
struct Chunk<'a> {
    choices: &'a [Choice<'a>],
    object: &'static str,
    usage: Option<Value>,
    created: u64,
    system_fingerprint: Option<&'static str>,
    model: &'a str,
    id: String,
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    delta: Delta<'a>,
    finish_reason: Option<&'a str>,
    index: u64,
    logprobs: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    content: &'a str,
}

pub(super) fn whole(reply: &Reply, text: &str, finish: &str, usage: Usage) -> Value {
    let mut body = json!({
        "id": format!("chatcmpl-{}", reply.id),
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": null,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": finish,
            "logprobs": null,
        }],
    });
    if reply.tells_usage {
        body["usage"] = json!({
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.output,
            "total_tokens": usage.prompt + usage.output,
            "prompt_tokens_details": { "cached_tokens": usage.cached },
        });
    }
    body
}

pub(super) fn opening(reply: &Reply) -> String {
    let delta = Delta {
        role: Some("assistant"),
        content: "",
    };
    choice(reply, delta, None)
}

pub(super) fn part(reply: &Reply, text: &str) -> String {
    choice(reply, Delta::text(text), None)
}

pub(super) fn ending(reply: &Reply, finish: &str, usage: Usage) -> Vec<String> {
    let mut events = vec![choice(reply, Delta::text(""), Some(finish))];
    if reply.tells_usage && reply.delivery == (Delivery::Chunks { usage: true }) {
        let usage = json!({
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.output,
            "total_tokens": usage.prompt + usage.output,
            "completion_tokens_details": null,
            "prompt_tokens_details": { "audio_tokens": null, "cached_tokens": usage.cached },
        });
        events.push(chunk(reply, &[], Some(usage)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

impl<'a> Delta<'a> {
    fn text(content: &'a str) -> Self {
        Self {
            role: None,
            content,
        }
    }
}

fn choice(reply: &Reply, delta: Delta<'_>, finish_reason: Option<&str>) -> String {
    let choice = Choice {
        delta,
        finish_reason,
        index: 0,
        logprobs: None,
    };
    chunk(reply, &[choice], None)
}

fn chunk(reply: &Reply, choices: &[Choice<'_>], usage: Option<Value>) -> String {
    let chunk = Chunk {
        choices,
        object: "chat.completion.chunk",
        usage,
        created: reply.created,
        system_fingerprint: None,
        model: &reply.model,
        id: format!("chatcmpl-{}", reply.id),
    };
    let data = serde_json::to_string(&chunk).unwrap_or_default();
    format!("data: {data}\n\n")
}
