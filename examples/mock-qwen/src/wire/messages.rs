//! Answers in Anthropic's dialect.

use serde_json::{Value, json};

use super::{Part, Reply, Usage, Written};

pub(super) fn whole(reply: &Reply, written: &Written) -> Value {
    let mut content = Vec::new();
    if !written.thoughts.is_empty() {
        content.push(json!({ "type": "thinking", "thinking": written.thoughts, "signature": "" }));
    }
    content.push(match &written.tool {
        Some(name) => {
            let input = serde_json::from_str(&written.text).unwrap_or_else(|_| json!({}));
            tool_use(reply, name, input)
        }
        None => json!({ "type": "text", "text": written.text }),
    });
    let mut body = message(reply);
    body["content"] = content.into();
    body["stop_reason"] = reason(written.finish).into();
    if reply.tells_usage {
        let mut usage = input(written.usage);
        usage["output_tokens"] = written.usage.output.into();
        body["usage"] = usage;
    }
    body
}

pub(super) fn opening(reply: &Reply, usage: Usage) -> String {
    let mut message = message(reply);
    if reply.tells_usage {
        message["usage"] = input(usage);
        message["usage"]["output_tokens"] = 0.into();
    }
    event("message_start", &json!({ "message": message }))
}

pub(super) fn part(reply: &Reply, part: Part<'_>) -> Vec<String> {
    let mut events = Vec::new();
    let index = index(part);
    if part.first {
        if index > 0 {
            events.push(stop(index - 1));
        }
        let block = if part.thought {
            json!({ "type": "thinking", "thinking": "", "signature": "" })
        } else if let Some(name) = part.tool {
            tool_use(reply, name, json!({}))
        } else {
            json!({ "type": "text", "text": "" })
        };
        let start = json!({ "index": index, "content_block": block });
        events.push(event("content_block_start", &start));
    }
    let delta = if part.thought {
        json!({ "type": "thinking_delta", "thinking": part.new })
    } else if part.tool.is_some() {
        json!({ "type": "input_json_delta", "partial_json": part.new })
    } else {
        json!({ "type": "text_delta", "text": part.new })
    };
    let delta = json!({ "index": index, "delta": delta });
    events.push(event("content_block_delta", &delta));
    events
}

pub(super) fn finish(reply: &Reply, part: Part<'_>, finish: &str) -> Vec<String> {
    let mut delta = json!({
        "delta": { "stop_reason": reason(finish), "stop_sequence": null },
    });
    if reply.tells_usage {
        delta["usage"] = json!({ "output_tokens": part.usage.output });
    }
    vec![
        stop(index(part)),
        event("message_delta", &delta),
        event("message_stop", &json!({})),
    ]
}

/// The body of a refusal, `message` and all.
pub(crate) fn error(status: u16, message: &str, id: &str) -> String {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 | 405 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    let error = json!({ "type": kind, "message": message });
    json!({ "type": "error", "error": error, "request_id": id }).to_string()
}

pub(super) fn error_event(kind: &str, message: &str) -> String {
    event(
        "error",
        &json!({ "error": { "type": kind, "message": message } }),
    )
}

fn message(reply: &Reply) -> Value {
    json!({
        "id": format!("msg_{}", reply.id),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
    })
}

/// Input without what was read from the cache.
fn input(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
    })
}

fn reason(finish: &str) -> &'static str {
    match finish {
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        _ => "end_turn",
    }
}

fn tool_use(reply: &Reply, name: &str, input: Value) -> Value {
    json!({ "type": "tool_use", "id": reply.tool_call_id(), "name": name, "input": input })
}

/// Of the block: the thoughts come first.
fn index(part: Part<'_>) -> u64 {
    u64::from(!part.thought && !part.thoughts.is_empty())
}

fn stop(index: u64) -> String {
    event("content_block_stop", &json!({ "index": index }))
}

fn event(name: &str, data: &Value) -> String {
    let mut data = data.clone();
    data["type"] = name.into();
    format!("event: {name}\ndata: {data}\n\n")
}
