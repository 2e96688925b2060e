//! What a request asks for, in any dialect.

mod messages;
mod tools;

use std::borrow::Cow;

use http::HeaderMap;
use serde_json::Value;

use self::messages::{chat, items, texts};
pub(crate) use self::tools::ToolCall;
use crate::tokens::{count_prompt, count_text};
use crate::wire::{Dialect, EarlyUsage, Problem, Profile, Range};

/// One call to the model.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) model: String,
    /// What is to be answered: one chat, or some texts.
    pub(crate) prompts: Vec<Prompt>,
    /// The tokens of each, counted once: nothing else takes as long.
    pub(crate) tokens: Vec<u64>,
    /// Answers to each.
    pub(crate) choices: usize,
    /// What each answer has to be, if not a text.
    pub(crate) tool_call: Option<ToolCall>,
    /// The most that an answer may take, if the request says.
    pub(crate) ceiling: Option<u64>,
    pub(crate) delivery: Delivery,
    pub(crate) format: Format,
    /// Numbers in an embedding.
    pub(crate) dimensions: usize,
}

/// What is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    /// The text of each message.
    Chat(Vec<String>),
    /// A text without a frame.
    Text(String),
}

/// How the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// Compatible stream, with or without the usage event, and usage so far in each event.
    Chunks {
        usage: bool,
        runs: bool,
    },
    /// A stream whose events have names.
    Named,
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

/// As text-embedding-v4 has it.
const DIMENSIONS: u64 = 1_024;

impl Delivery {
    /// Whether usage so far stands in each event.
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Chunks { runs: true, .. })
    }
}

impl Prompt {
    fn tokens(&self) -> u64 {
        match self {
            Self::Chat(contents) => count_prompt(contents.iter().map(String::as_str)),
            Self::Text(text) => count_text(text),
        }
    }

    /// What decides the answer: the texts, and for all answers but the first its number.
    pub(crate) fn contents(&self, choice: usize) -> Cow<'_, [String]> {
        let mut contents = match self {
            Self::Chat(contents) => Cow::Borrowed(contents.as_slice()),
            Self::Text(text) => Cow::Owned(vec![text.clone()]),
        };
        if choice > 0 {
            contents.to_mut().push(choice.to_string());
        }
        contents
    }
}

impl Call {
    /// Reads a request; `max_output` is the most that the model writes.
    pub(crate) fn read(
        profile: &Profile,
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
        let options = match dialect.is_native() {
            true => &body["parameters"],
            false => &body,
        };
        let prompts = prompts(dialect, &body, options)?;
        let choices = match options["n"].as_u64() {
            None => 1,
            Some(n) if (1..=profile.most_choices).contains(&n) => n as usize,
            _ => {
                let most = profile.most_choices;
                return Err(Problem::invalid(format!(
                    "Range of n should be [1, {most}]"
                )));
            }
        };
        let dimensions = options["dimensions"]
            .as_u64()
            .or(options["dimension"].as_u64());
        Ok(Self {
            model: model.to_owned(),
            tokens: prompts.iter().map(Prompt::tokens).collect(),
            prompts,
            choices,
            tool_call: tool_call(dialect, &body, options),
            ceiling: ceiling(profile.range, dialect, options, max_output)?,
            delivery: delivery(profile, dialect, headers, &body, options),
            format: match options["result_format"].as_str() {
                Some("message") => Format::Message,
                _ => Format::Text,
            },
            dimensions: dimensions.unwrap_or(DIMENSIONS).clamp(1, 4_096) as usize,
        })
    }
}

fn prompts(dialect: Dialect, body: &Value, options: &Value) -> Result<Vec<Prompt>, Problem> {
    let one = |contents: Vec<String>| vec![Prompt::Chat(contents)];
    let tools = &options["tools"];
    Ok(match dialect {
        Dialect::Compatible => one(chat(&body["messages"], None, tools)?),
        Dialect::Messages => one(chat(&body["messages"], Some(&body["system"]), tools)?),
        Dialect::Responses => one(items(&body["input"], &body["instructions"], tools)?),
        Dialect::Native | Dialect::Multimodal => {
            let input = &body["input"];
            match input["prompt"].as_str() {
                Some(prompt) if input["messages"].is_null() => one(vec![prompt.to_owned()]),
                _ => one(chat(&input["messages"], None, tools)?),
            }
        }
        Dialect::Completions => texts(&body["prompt"], "prompt")?,
        Dialect::Embeddings => texts(&body["input"], "input")?,
        Dialect::NativeEmbeddings => texts(&body["input"]["texts"], "input.texts")?,
    })
}

fn tool_call(dialect: Dialect, body: &Value, options: &Value) -> Option<ToolCall> {
    let messages = match dialect {
        Dialect::Compatible | Dialect::Messages => &body["messages"],
        Dialect::Native | Dialect::Multimodal => &body["input"]["messages"],
        Dialect::Responses => &body["input"],
        Dialect::Completions | Dialect::Embeddings | Dialect::NativeEmbeddings => return None,
    };
    let last = messages.as_array().and_then(|messages| messages.last());
    tools::required(&options["tools"], &options["tool_choice"], last)
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

fn delivery(
    profile: &Profile,
    dialect: Dialect,
    headers: &HeaderMap,
    body: &Value,
    options: &Value,
) -> Delivery {
    let asked = &body["stream_options"];
    match dialect {
        Dialect::Native | Dialect::Multimodal if wants_events(headers) => Delivery::Events {
            incremental: options["incremental_output"] == true,
        },
        Dialect::Compatible | Dialect::Completions if body["stream"] == true => {
            let usage = asked["include_usage"] == true;
            Delivery::Chunks {
                usage,
                runs: usage
                    && profile.early_usage == EarlyUsage::Asked
                    && asked["continuous_usage_stats"] == true,
            }
        }
        Dialect::Messages | Dialect::Responses if body["stream"] == true => Delivery::Named,
        _ => Delivery::Whole,
    }
}

fn ceiling(
    range: Range,
    dialect: Dialect,
    options: &Value,
    max_output: u64,
) -> Result<Option<u64>, Problem> {
    let names: &[&str] = match dialect {
        Dialect::Responses => &["max_output_tokens"],
        Dialect::Messages => &["max_tokens"],
        _ => &["max_tokens", "max_completion_tokens"],
    };
    let mut ceiling = None;
    for name in names {
        let value = &options[*name];
        if value.is_null() {
            continue;
        }
        let tokens = match (range, value.as_i64(), value.as_u64()) {
            (Range::Whole, _, Some(tokens)) if (1..=max_output).contains(&tokens) => tokens,
            (Range::AtLeastOne, _, Some(tokens @ 1..)) => tokens.min(max_output),
            (Range::Any, Some(..0), _) => max_output,
            (Range::Any, _, Some(tokens)) => tokens.clamp(1, max_output),
            (Range::AtLeastOne, Some(tokens), _) => {
                let message = format!("{name} must be at least 1, got {tokens}.");
                return Err(Problem::invalid(message));
            }
            _ => {
                let message = format!("Range of {name} should be [1, {max_output}]");
                return Err(Problem::invalid(message));
            }
        };
        ceiling = Some(ceiling.map_or(tokens, |other: u64| other.min(tokens)));
    }
    Ok(ceiling)
}
