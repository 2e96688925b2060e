//! Answers in the native dialect.

use serde_json::{Value, json};

use super::{Dialect, Part, Reply, Usage, Written};
use crate::request::{Delivery, Format};

pub(super) fn whole(reply: &Reply, written: &Written) -> Value {
    let mut body = json!({
        "output": output(reply, &written.text, &written.thoughts, written.tool.as_deref().map(Some), written.finish),
        "request_id": reply.id,
    });
    if reply.tells_usage {
        body["usage"] = counts(reply, written.usage);
        body["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": written.usage.cached });
    }
    body
}

pub(super) fn part(reply: &Reply, part: Part<'_>, finish: &str) -> String {
    let (text, thoughts) = match (reply.delivery, part.thought) {
        (Delivery::Events { incremental: true }, false) => (part.new, ""),
        (Delivery::Events { incremental: true }, true) => ("", part.new),
        _ => (part.text, part.thoughts),
    };
    let parts = matches!(reply.delivery, Delivery::Events { incremental: true });
    let tool = part
        .tool
        .map(|name| Some(name).filter(|_| part.first || !parts));
    let mut body = json!({
        "output": output(reply, text, thoughts, tool, finish),
        "request_id": reply.id,
    });
    if reply.tells_usage {
        body["usage"] = counts(reply, part.usage);
        if part.usage.cached > 0 {
            body["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": part.usage.cached });
        }
    }
    format!(
        "id:{}\nevent:result\n:HTTP_STATUS/200\ndata:{body}\n\n",
        part.number
    )
}

/// `tool` is there for a call, with a name where its first part is among the text.
fn output(
    reply: &Reply,
    text: &str,
    thoughts: &str,
    tool: Option<Option<&str>>,
    finish: &str,
) -> Value {
    let (text, arguments) = if tool.is_some() {
        ("", text)
    } else {
        (text, "")
    };
    let content = match reply.dialect {
        Dialect::Multimodal if text.is_empty() => json!([]),
        Dialect::Multimodal => json!([{ "text": text }]),
        _ => text.into(),
    };
    if reply.format == Format::Text && tool.is_none() && reply.dialect != Dialect::Multimodal {
        return json!({ "finish_reason": finish, "text": content });
    }
    let mut message = json!({ "role": "assistant", "content": content });
    if !thoughts.is_empty() {
        message["reasoning_content"] = thoughts.into();
    }
    if let Some(name) = tool {
        message["tool_calls"] = json!([reply.tool_call(name, arguments)]);
    }
    json!({ "choices": [{ "finish_reason": finish, "message": message }] })
}

fn counts(reply: &Reply, usage: Usage) -> Value {
    let mut counts = json!({
        "input_tokens": usage.prompt,
        "output_tokens": usage.output,
        "total_tokens": usage.total(),
    });
    if usage.thoughts > 0 {
        counts["output_tokens_details"] = json!({ "reasoning_tokens": usage.thoughts });
    }
    if reply.dialect == Dialect::Multimodal {
        counts["input_tokens_details"] = json!({ "text_tokens": usage.prompt });
    }
    counts
}
