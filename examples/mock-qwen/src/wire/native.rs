//! Answers in the native dialect.

use serde_json::{Value, json};

use super::{Part, Reply, Usage};
use crate::request::{Delivery, Format};

pub(super) fn whole(reply: &Reply, text: &str, finish: &str, usage: Usage) -> Value {
    let mut body = json!({
        "output": output(reply, text, finish),
        "request_id": reply.id,
    });
    if reply.tells_usage {
        body["usage"] = counts(usage);
        body["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": usage.cached });
    }
    body
}

pub(super) fn part(reply: &Reply, part: Part<'_>, finish: &str) -> String {
    let text = match reply.delivery {
        Delivery::Events { incremental: true } => part.new,
        _ => part.all,
    };
    let mut body = json!({
        "output": output(reply, text, finish),
        "request_id": reply.id,
    });
    if reply.tells_usage {
        body["usage"] = counts(part.usage);
        if part.usage.cached > 0 {
            body["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": part.usage.cached });
        }
    }
    format!(
        "id:{}\nevent:result\n:HTTP_STATUS/200\ndata:{body}\n\n",
        part.number
    )
}

fn output(reply: &Reply, text: &str, finish: &str) -> Value {
    match reply.format {
        Format::Text => json!({ "finish_reason": finish, "text": text }),
        Format::Message => json!({
            "choices": [{
                "finish_reason": finish,
                "message": { "role": "assistant", "content": text },
            }],
        }),
    }
}

fn counts(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "output_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
    })
}
