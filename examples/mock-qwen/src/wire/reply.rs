//! What a reply is made of, and the choice between the dialects.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::problem::Kind;
use super::profile::{Profile, StreamError};
use super::template::{Facts, fill};
use super::{Dialect, Usage, chat, messages, native, responses};
use crate::request::{Delivery, Format};

/// What is the same in all parts of one reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) profile: &'static Profile,
    pub(crate) dialect: Dialect,
    pub(crate) delivery: Delivery,
    pub(crate) format: Format,
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Whether the answer says what it used.
    pub(crate) tells_usage: bool,
    /// Answers that it is made of.
    pub(crate) choices: usize,
    /// Texts that were asked to be continued: each has its answers.
    pub(crate) prompts: usize,
    /// Events of the Responses interface so far.
    pub(crate) events: AtomicU64,
}

/// One answer of a reply, whole.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) thoughts: String,
    /// Of a call its arguments.
    pub(crate) text: String,
    /// The function that is called, if the answer is a call of one.
    pub(crate) tool: Option<String>,
    pub(crate) finish: &'static str,
    pub(crate) usage: Usage,
}

/// How far a stream has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// Number of the event, from 1.
    pub(crate) number: u64,
    /// Number of the answer, from 0.
    pub(crate) choice: usize,
    /// Whether `new` is thoughts.
    pub(crate) thought: bool,
    /// Whether `new` is the first text, or the first thoughts, of this answer.
    pub(crate) first: bool,
    /// The function that is called, if the answer is a call of one: `new` and `text` are its arguments then.
    pub(crate) tool: Option<&'a str>,
    /// The text that is new.
    pub(crate) new: &'a str,
    /// All text of this answer so far.
    pub(crate) text: &'a str,
    /// All thoughts of this answer so far.
    pub(crate) thoughts: &'a str,
    /// Of all answers so far.
    pub(crate) usage: Usage,
    /// Of this answer so far.
    pub(crate) own: Usage,
}

impl Reply {
    pub(crate) fn content_type(&self) -> &'static str {
        match self.delivery {
            Delivery::Whole => "application/json",
            Delivery::Chunks { .. } | Delivery::Named => "text/event-stream",
            Delivery::Events { .. } => "text/event-stream;charset=UTF-8",
        }
    }

    /// An answer in one piece.
    pub(crate) fn whole(&self, written: &[Written], usage: Usage) -> Value {
        match (self.dialect, written.first()) {
            (Dialect::Responses, Some(written)) => responses::whole(self, written),
            (Dialect::Messages, Some(written)) => messages::whole(self, written),
            (Dialect::Native | Dialect::Multimodal, Some(written)) => native::whole(self, written),
            _ => chat::whole(self, written, usage),
        }
    }

    /// What a stream begins with, before any text.
    pub(crate) fn opening(&self, usage: Usage) -> Vec<String> {
        let mut events = match self.dialect {
            Dialect::Responses => responses::opening(self),
            Dialect::Messages => vec![messages::opening(self, usage)],
            Dialect::Native | Dialect::Multimodal => return Vec::new(),
            _ => chat::opening(self, usage),
        };
        if let Some(comment) = self.profile.comment {
            events.insert(0, comment.to_owned());
        }
        events
    }

    /// The events with a piece of text.
    pub(crate) fn part(&self, part: Part<'_>) -> Vec<String> {
        match self.dialect {
            Dialect::Responses => responses::part(self, part),
            Dialect::Messages => messages::part(self, part),
            Dialect::Native | Dialect::Multimodal => vec![native::part(self, part, "null")],
            _ => vec![chat::part(self, part)],
        }
    }

    /// The events that end one answer.
    pub(crate) fn finish(&self, part: Part<'_>, finish: &'static str) -> Vec<String> {
        match self.dialect {
            Dialect::Responses => responses::finish(self, part, finish),
            Dialect::Messages => messages::finish(self, part, finish),
            Dialect::Native | Dialect::Multimodal => vec![native::part(self, part, finish)],
            _ => chat::finish(self, part, finish),
        }
    }

    /// The events that end a stream, after all answers.
    pub(crate) fn ending(&self, usage: Usage) -> Vec<String> {
        match self.dialect {
            Dialect::Compatible | Dialect::Completions => chat::ending(self, usage),
            _ => Vec::new(),
        }
    }

    /// An error inside a stream.
    pub(crate) fn error(&self, number: u64, facts: &Facts<'_>) -> String {
        let studio = self.profile.stream_error == StreamError::Native;
        let message = || {
            let row = self.profile.row(false, Kind::InStream);
            row.map_or_else(String::new, |row| message_of(&fill(row.body, facts)))
        };
        match self.dialect {
            // Model Studio's, by QwenLM/qwen-code#11215.
            Dialect::Messages if studio => {
                messages::error_event("invalid_request_error", "Too many requests, please wait")
            }
            Dialect::Messages => messages::error_event("overloaded_error", &message()),
            // Model Studio's, by a client's test 'DashScope wraps a 429 as a server_error SSE event', 2026.
            Dialect::Responses if studio => responses::error_event(
                "<429> InternalError.Algo: An error occurred in model serving, error message is: \
                 [Too many requests.]",
            ),
            Dialect::Responses => responses::error_event(&message()),
            _ => error_event(self.profile, number, facts),
        }
    }

    pub(super) fn tool_call_id(&self) -> String {
        format!("call_{}", self.id.replace('-', ""))
    }

    /// What is new of a call. As Model Studio has it, the later parts have an empty id and no name.
    pub(super) fn tool_call(&self, name: Option<&str>, arguments: &str) -> Value {
        let mut function = json!({ "arguments": arguments });
        if let Some(name) = name {
            function["name"] = name.into();
        }
        let id = name.map_or_else(String::new, |_| self.tool_call_id());
        json!({ "index": 0, "id": id, "type": "function", "function": function })
    }

    /// The number of the next event.
    pub(super) fn count(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed)
    }
}

/// An error inside a compatible or native stream.
pub(crate) fn error_event(profile: &'static Profile, number: u64, facts: &Facts<'_>) -> String {
    let native = profile.stream_error == StreamError::Native;
    let Some(row) = profile.row(native, Kind::InStream) else {
        return String::new();
    };
    let body = fill(row.body, facts);
    match profile.stream_error {
        StreamError::Native => native_error(number, row.status, &body),
        StreamError::Data { done: false } => format!("data: {body}\n\n"),
        StreamError::Data { done: true } => format!("data: {body}\n\ndata: [DONE]\n\n"),
    }
}

/// A native error event: its status stands in a comment.
pub(crate) fn native_error(number: u64, status: u16, body: &str) -> String {
    format!("id:{number}\nevent:error\n:HTTP_STATUS/{status}\ndata:{body}\n\n")
}

/// The message of an error's body, wherever it stands.
pub(crate) fn message_of(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let places = [
        &body["error"]["message"],
        &body["errors"]["message"],
        &body["message"],
        &body["error"],
    ];
    let found = places.into_iter().find_map(Value::as_str);
    found.unwrap_or_default().to_owned()
}
