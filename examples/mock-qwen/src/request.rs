//! What a request asks for, in either dialect.

use http::HeaderMap;
use serde_json::Value;

use crate::wire::{Dialect, Problem};

/// One call to the model.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) model: String,
    /// The text of each message.
    pub(crate) contents: Vec<String>,
    /// The most that the answer may take, if the request says.
    pub(crate) ceiling: Option<u64>,
    pub(crate) delivery: Delivery,
    pub(crate) format: Format,
}

/// How the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// Compatible stream, with or without the usage event.
    Chunks {
        usage: bool,
    },
    /// Native stream; each event has the new text only, or all so far.
    Events {
        incremental: bool,
    },
}

/// The shape of a native answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Message,
}

const ROLE: &str = "Role must be user or assistant and Content length must be greater than 0";

impl Call {
    /// Reads a request; `max_output` is the most that the model writes.
    pub(crate) fn read(
        dialect: Dialect,
        headers: &HeaderMap,
        body: &[u8],
        max_output: u64,
    ) -> Result<Self, Problem> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            Problem::invalid(format!("Request body is not valid JSON: {error}"))
        })?;
        let model = body["model"]
            .as_str()
            .filter(|model| !model.is_empty())
            .ok_or_else(|| Problem::invalid("you must provide a model parameter"))?;
        let (messages, options) = match dialect {
            Dialect::Compatible => (&body["messages"], &body),
            Dialect::Native => (&body["input"]["messages"], &body["parameters"]),
        };
        let contents = match (dialect, body["input"]["prompt"].as_str()) {
            (Dialect::Native, Some(prompt)) if messages.is_null() => vec![prompt.to_owned()],
            _ => contents(messages)?,
        };
        if !matches!(options["n"].as_u64(), None | Some(1)) {
            return Err(Problem::invalid("Range of n should be [1, 1]"));
        }
        Ok(Self {
            model: model.to_owned(),
            contents,
            ceiling: ceiling(options, max_output)?,
            delivery: match dialect {
                Dialect::Compatible => chunks(&body),
                Dialect::Native if wants_events(headers) => Delivery::Events {
                    incremental: options["incremental_output"] == true,
                },
                Dialect::Native => Delivery::Whole,
            },
            format: match options["result_format"].as_str() {
                Some("message") => Format::Message,
                _ => Format::Text,
            },
        })
    }
}

/// Whether the headers of a native request ask for a stream.
pub(crate) fn wants_events(headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains(wanted))
    };
    is("x-dashscope-sse", "enable") || is("accept", "text/event-stream")
}

fn chunks(body: &Value) -> Delivery {
    if body["stream"] == true {
        Delivery::Chunks {
            usage: body["stream_options"]["include_usage"] == true,
        }
    } else {
        Delivery::Whole
    }
}

fn ceiling(options: &Value, max_output: u64) -> Result<Option<u64>, Problem> {
    let mut ceiling = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let value = &options[name];
        if value.is_null() {
            continue;
        }
        match value.as_u64() {
            Some(tokens) if (1..=max_output).contains(&tokens) => {
                ceiling = Some(ceiling.map_or(tokens, |other: u64| other.min(tokens)));
            }
            _ => {
                let message = format!("Range of {name} should be [1, {max_output}]");
                return Err(Problem::invalid(message));
            }
        }
    }
    Ok(ceiling)
}

fn contents(messages: &Value) -> Result<Vec<String>, Problem> {
    let messages = messages.as_array().map_or(&[][..], Vec::as_slice);
    if messages.is_empty() {
        return Err(Problem::invalid("messages must not be empty"));
    }
    messages.iter().map(content).collect()
}

fn content(message: &Value) -> Result<String, Problem> {
    let role = message["role"].as_str().unwrap_or_default();
    let text = text(&message["content"]);
    match role {
        "user" if text.is_empty() && message["content"].is_string() => Err(Problem::invalid(ROLE)),
        "system" | "developer" | "user" | "assistant" | "tool" | "function" => Ok(text),
        _ => Err(Problem::invalid(ROLE)),
    }
}

/// The text of a content: a string, or the text of its parts. Other parts are taken for empty.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}
