//! Answers in the compatible dialects: chats, and texts to be continued.

use serde_json::{Value, json};

use super::chunk::{Beside, Delta, choice, chunk, continued, id};
use super::profile::{EarlyUsage, Thoughts, UsagePlace};
use super::{Dialect, Part, Reply, Usage, Written};
use crate::request::Delivery;

pub(super) fn whole(reply: &Reply, written: &[Written], usage: Usage) -> Value {
    let choices: Vec<Value> = written
        .iter()
        .enumerate()
        .map(|(index, written)| whole_choice(reply, index, written))
        .collect();
    let object = match reply.dialect {
        Dialect::Completions => "text_completion",
        _ => "chat.completion",
    };
    let mut body = json!({
        "id": id(reply),
        "object": object,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": null,
        "choices": choices,
    });
    if reply.tells_usage {
        // A server that states usage by choice states that of the first text, with the output of one answer.
        let usage = match (reply.profile.place, written.first()) {
            (UsagePlace::EachChoice, Some(first)) => first.usage,
            _ => usage,
        };
        body["usage"] = usage.stated(reply.profile.usage, false);
        match reply.profile.place {
            UsagePlace::EachChoice => body["timings"] = timings(usage),
            UsagePlace::XGroq => body["x_groq"] = json!({ "id": groq_id(reply) }),
            _ => {}
        }
    }
    body
}

fn whole_choice(reply: &Reply, index: usize, written: &Written) -> Value {
    let mut choice = json!({
        "index": index,
        "finish_reason": written.finish,
        "logprobs": null,
    });
    if reply.dialect == Dialect::Completions {
        choice["text"] = format!("{}{}", written.thoughts, written.text).into();
        return choice;
    }
    choice["message"] = match &written.tool {
        Some(name) => json!({
            "role": "assistant",
            "content": "",
            "tool_calls": [reply.tool_call(Some(name), &written.text)],
        }),
        None => json!({ "role": "assistant", "content": written.text }),
    };
    if !written.thoughts.is_empty() {
        let member = match reply.profile.thoughts {
            Thoughts::ReasoningContent => "reasoning_content",
            Thoughts::Reasoning => "reasoning",
        };
        choice["message"][member] = written.thoughts.as_str().into();
    }
    choice
}

pub(super) fn opening(reply: &Reply, usage: Usage) -> Vec<String> {
    if reply.dialect == Dialect::Completions {
        // llama-server does so, and each time, where there are several texts to continue.
        let null = reply.profile.place == UsagePlace::EachChoice && reply.prompts > 1;
        return if null {
            vec!["data: null\n\n".to_owned()]
        } else {
            Vec::new()
        };
    }
    let opening = |index| {
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        let mut beside = Beside::default();
        if reply.profile.place == UsagePlace::XGroq {
            beside.x_groq = Some(json!({ "id": groq_id(reply) }));
        }
        if reply.delivery.runs() && reply.tells_usage {
            beside.usage = Some(usage.stated(reply.profile.usage, true));
        }
        chunk(reply, &[choice(index, delta, None)], beside)
    };
    (0..reply.choices).map(opening).collect()
}

pub(super) fn part(reply: &Reply, part: Part<'_>) -> String {
    let mut beside = Beside::default();
    if reply.delivery.runs() && reply.tells_usage {
        // Of its own answer; only the last event has the sum.
        beside.usage = Some(part.own.stated(reply.profile.usage, true));
    }
    let choice = if reply.dialect == Dialect::Completions {
        beside.usage = beside.usage.or_else(|| zeros(reply));
        continued(part.choice, part.new, None)
    } else {
        let mut delta = Delta::default();
        match (part.thought, reply.profile.thoughts) {
            (false, _) if part.tool.is_some() => {
                let name = part.tool.filter(|_| part.first);
                delta.tool_calls = Some([reply.tool_call(name, part.new)]);
            }
            (false, _) => delta.content = Some(part.new),
            (true, Thoughts::ReasoningContent) => delta.reasoning_content = Some(part.new),
            (true, Thoughts::Reasoning) => delta.reasoning = Some(part.new),
        }
        choice(part.choice, delta, None)
    };
    chunk(reply, &[choice], beside)
}

pub(super) fn finish(reply: &Reply, part: Part<'_>, finish: &str) -> Vec<String> {
    let completions = reply.dialect == Dialect::Completions;
    let mut end = if completions {
        continued(part.choice, "", Some(finish))
    } else {
        let content = match reply.profile.place {
            UsagePlace::OwnEvent | UsagePlace::OwnEventWithChoice => Some(""),
            _ => None,
        };
        let delta = Delta {
            content,
            ..Delta::default()
        };
        choice(part.choice, delta, Some(finish))
    };
    let mut beside = Beside::default();
    let mut own = Vec::new();
    if reply.tells_usage {
        let form = reply.profile.usage;
        let stated = |usage: Usage| Some(usage.stated(form, true));
        match reply.profile.place {
            _ if reply.delivery.runs() => beside.usage = stated(part.own),
            UsagePlace::OwnEvent | UsagePlace::OwnEventWithChoice => {}
            UsagePlace::Finish => beside.usage = stated(part.usage),
            UsagePlace::Choice => end.usage = stated(part.usage),
            UsagePlace::XGroq => {
                let usage = part.usage.stated(form, true);
                beside.x_groq = Some(json!({ "id": groq_id(reply), "usage": usage }));
                beside.usage = Some(usage);
            }
            UsagePlace::EachChoice if completions => {
                beside.usage = stated(part.own);
                beside.timings = Some(timings(part.own));
            }
            UsagePlace::EachChoice if asks(reply) => own.push(chunk(
                reply,
                &[],
                Beside {
                    usage: stated(part.own),
                    timings: Some(timings(part.own)),
                    x_groq: None,
                },
            )),
            UsagePlace::EachChoice => beside.timings = Some(timings(part.own)),
        }
        if completions {
            beside.usage = beside.usage.or_else(|| zeros(reply));
        }
    }
    own.insert(0, chunk(reply, &[end], beside));
    own
}

pub(super) fn ending(reply: &Reply, usage: Usage) -> Vec<String> {
    let mut events = Vec::new();
    if reply.tells_usage && asks(reply) {
        let beside = Beside {
            usage: Some(usage.stated(reply.profile.usage, true)),
            ..Beside::default()
        };
        match reply.profile.place {
            UsagePlace::OwnEvent | UsagePlace::Choice => events.push(chunk(reply, &[], beside)),
            UsagePlace::OwnEventWithChoice => {
                events.push(usage_with_choice(reply, usage));
            }
            UsagePlace::Finish | UsagePlace::XGroq | UsagePlace::EachChoice => {}
        }
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// `LiteLLM`'s: its choice has an index and an empty delta, and nothing else.
fn usage_with_choice(reply: &Reply, usage: Usage) -> String {
    let body = json!({
        "id": id(reply),
        "created": reply.created,
        "model": reply.model,
        "object": "chat.completion.chunk",
        "choices": [{ "index": 0, "delta": {} }],
        "usage": usage.stated(reply.profile.usage, true),
    });
    format!("data: {body}\n\n")
}

fn groq_id(reply: &Reply) -> String {
    format!("req_{}", reply.id.replace('-', ""))
}

/// Whether the caller asked for usage.
fn asks(reply: &Reply) -> bool {
    matches!(reply.delivery, Delivery::Chunks { usage: true, .. })
}

/// What Ollama states in each event before the true usage.
fn zeros(reply: &Reply) -> Option<Value> {
    let states = reply.tells_usage && reply.profile.early_usage == EarlyUsage::Zeros;
    (states && asks(reply)).then(|| Usage::default().plain())
}

/// What `llama-server` measures. Its prompt is what was not cached.
fn timings(usage: Usage) -> Value {
    let (prompt, output) = (usage.prompt - usage.cached, usage.output);
    json!({
        "cache_n": usage.cached,
        "prompt_n": prompt,
        "prompt_ms": prompt as f64 * 0.5,
        "predicted_n": output,
        "predicted_ms": output as f64 * 2.0,
    })
}
