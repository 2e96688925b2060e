//! Answers in the dialect of OpenAI's Responses.

use serde_json::{Value, json};

use super::{Part, Reply, Usage, Written};

pub(super) fn whole(reply: &Reply, written: &Written) -> Value {
    let items = items(
        reply,
        &written.thoughts,
        written.tool.as_deref(),
        &written.text,
    );
    response(reply, items, Some((written.finish, written.usage)))
}

pub(super) fn opening(reply: &Reply) -> Vec<String> {
    ["response.created", "response.in_progress"]
        .into_iter()
        .map(|name| {
            let response = response(reply, Vec::new(), None);
            event(reply, name, json!({ "response": response }))
        })
        .collect()
}

pub(super) fn part(reply: &Reply, part: Part<'_>) -> Vec<String> {
    let mut events = Vec::new();
    let index = index(part);
    if part.first {
        if index > 0 {
            let item = reasoning(reply, part.thoughts);
            events.push(done(reply, 0, &item));
        }
        let item = if part.thought {
            reasoning(reply, "")
        } else if let Some(name) = part.tool {
            function_call(reply, name, None)
        } else {
            message(reply, None)
        };
        let added = json!({ "output_index": index, "item": item });
        events.push(event(reply, "response.output_item.added", added));
        if !part.thought && part.tool.is_none() {
            let added = json!({
                "item_id": message_id(reply),
                "output_index": index,
                "content_index": 0,
                "part": { "type": "output_text", "text": "", "annotations": [] },
            });
            events.push(event(reply, "response.content_part.added", added));
        }
    }
    if part.tool.is_some() && !part.thought {
        let delta =
            json!({ "item_id": function_call_id(reply), "output_index": index, "delta": part.new });
        events.push(event(
            reply,
            "response.function_call_arguments.delta",
            delta,
        ));
        return events;
    }
    let (name, id, place) = if part.thought {
        let id = reasoning_id(reply);
        ("response.reasoning_summary_text.delta", id, "summary_index")
    } else {
        let id = message_id(reply);
        ("response.output_text.delta", id, "content_index")
    };
    let delta = json!({ "item_id": id, "output_index": index, place: 0, "delta": part.new });
    events.push(event(reply, name, delta));
    events
}

pub(super) fn finish(reply: &Reply, part: Part<'_>, finish: &str) -> Vec<String> {
    let index = index(part);
    let items = items(reply, part.thoughts, part.tool, part.text);
    let mut events = vec![match part.tool {
        Some(name) => {
            let arguments = json!({
                "item_id": function_call_id(reply),
                "output_index": index,
                "name": name,
                "arguments": part.text,
            });
            event(reply, "response.function_call_arguments.done", arguments)
        }
        None => {
            let text = json!({
                "item_id": message_id(reply),
                "output_index": index,
                "content_index": 0,
                "text": part.text,
            });
            event(reply, "response.output_text.done", text)
        }
    }];
    if let Some(item) = items.last() {
        events.push(done(reply, index, item));
    }
    let name = match finish {
        "length" => "response.incomplete",
        _ => "response.completed",
    };
    let response = response(reply, items, Some((finish, part.usage)));
    events.push(event(reply, name, json!({ "response": response })));
    events
}

pub(super) fn error_event(message: &str) -> String {
    let error = json!({ "type": "server_error", "message": message });
    format!(
        "event: error\ndata: {}\n\n",
        json!({ "type": "error", "error": error })
    )
}

fn response(reply: &Reply, items: Vec<Value>, end: Option<(&str, Usage)>) -> Value {
    let status = match end {
        None => "in_progress",
        Some(("length", _)) => "incomplete",
        Some(_) => "completed",
    };
    let mut body = json!({
        "id": format!("resp_{}", reply.id),
        "object": "response",
        "created_at": reply.created,
        "model": reply.model,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "output": items,
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "tools": [],
        "usage": null,
    });
    let Some((finish, usage)) = end else {
        return body;
    };
    if finish == "length" {
        body["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    if reply.tells_usage {
        body["usage"] = json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": { "cached_tokens": usage.cached },
            "output_tokens": usage.output,
            "output_tokens_details": { "reasoning_tokens": usage.thoughts },
            "total_tokens": usage.total(),
        });
    }
    body
}

fn items(reply: &Reply, thoughts: &str, tool: Option<&str>, text: &str) -> Vec<Value> {
    let mut items = Vec::new();
    if !thoughts.is_empty() {
        items.push(reasoning(reply, thoughts));
    }
    items.push(match tool {
        Some(name) => function_call(reply, name, Some(text)),
        None => message(reply, Some(text)),
    });
    items
}

fn reasoning(reply: &Reply, text: &str) -> Value {
    let summary = match text {
        "" => json!([]),
        _ => json!([{ "type": "summary_text", "text": text }]),
    };
    json!({ "id": reasoning_id(reply), "type": "reasoning", "summary": summary })
}

fn message(reply: &Reply, text: Option<&str>) -> Value {
    let (status, content) = match text {
        None => ("in_progress", json!([])),
        Some(text) => (
            "completed",
            json!([{ "type": "output_text", "text": text, "annotations": [] }]),
        ),
    };
    json!({
        "id": message_id(reply),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    })
}

/// `arguments` are there when it is complete.
fn function_call(reply: &Reply, name: &str, arguments: Option<&str>) -> Value {
    json!({
        "id": function_call_id(reply),
        "type": "function_call",
        "status": if arguments.is_some() { "completed" } else { "in_progress" },
        "call_id": reply.tool_call_id(),
        "name": name,
        "arguments": arguments.unwrap_or_default(),
    })
}

fn function_call_id(reply: &Reply) -> String {
    format!("fc_{}", reply.id)
}

fn message_id(reply: &Reply) -> String {
    format!("msg_{}", reply.id)
}

fn reasoning_id(reply: &Reply) -> String {
    format!("rs_{}", reply.id)
}

/// Of the item: the thoughts come first.
fn index(part: Part<'_>) -> u64 {
    u64::from(!part.thought && !part.thoughts.is_empty())
}

fn done(reply: &Reply, index: u64, item: &Value) -> String {
    let done = json!({ "output_index": index, "item": item });
    event(reply, "response.output_item.done", done)
}

fn event(reply: &Reply, name: &str, mut data: Value) -> String {
    data["type"] = name.into();
    data["sequence_number"] = reply.count().into();
    format!("event: {name}\ndata: {data}\n\n")
}
