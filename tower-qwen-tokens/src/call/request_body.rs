mod place;
mod value;

use std::{error::Error, fmt, sync::Arc};

use http::{HeaderMap, header::ACCEPT};
use serde::de::DeserializeSeed;

use self::{place::Place, value::Value};
use super::{ModelCall, counting::Counting};
use crate::{
    Dialect,
    estimate::{Estimate, TOOLS_FRAME, Tally, chat_frame},
    json_reader::Read,
    protocol::{header::X_DASHSCOPE_SSE, preserves_thinking_by_default, thinks_by_default},
};

/// A body that is no request. Says where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    kind: ParseErrorKind,
    line: usize,
    column: usize,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// It is not JSON.
    NotJson,
    /// It is JSON, but no object.
    NotObject,
    /// It is nested more than 127 levels deep.
    TooDeep,
}

/// What one pass over the body gathers. Nothing of the prompt is kept.
#[derive(Default)]
struct Draft<'e> {
    /// The user's own counter.
    counter: Option<&'e dyn Estimate>,
    model: Option<Arc<str>>,
    stream: bool,
    include_usage: bool,
    n: Option<u64>,
    max_tokens: Option<u64>,
    /// A ceiling that holds thinking too.
    max_completion_tokens: Option<u64>,
    thinking: Option<bool>,
    thinking_budget: Option<u64>,
    messages: u64,
    /// Texts, images and the like.
    prompt: Tally,
    /// Earlier thinking, which only counts where the request preserves it.
    thoughts: Tally,
    preserve_thinking: Option<bool>,
    has_tools: bool,
}

/// Reads the body of a request in this dialect.
///
/// # Errors
///
/// A body that is no JSON object, or nested too deep.
pub(super) fn read(
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
    counting: &Counting,
) -> Result<ModelCall, ParseError> {
    let mut draft = Draft {
        counter: counting.counter(),
        ..Draft::default()
    };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Read(Value {
        draft: &mut draft,
        place: if dialect.is_native() {
            Place::Native
        } else {
            Place::Compatible
        },
    });
    value
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| ParseError::new(&error))?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ParseError {
            kind: ParseErrorKind::NotObject,
            line: 1,
            column: 1,
        });
    }
    draft.stream |= dialect.is_native() && asks_for_events(headers);
    Ok(draft.finish(dialect, counting))
}

/// Whether the headers of a native call ask for a stream.
fn asks_for_events(headers: &HeaderMap) -> bool {
    let is_enabled = |value: &http::HeaderValue| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"enable")
    };
    let has_events = |value: &http::HeaderValue| {
        value
            .to_str()
            .is_ok_and(|text| text.to_ascii_lowercase().contains("text/event-stream"))
    };
    headers.get(X_DASHSCOPE_SSE).is_some_and(is_enabled)
        || headers.get_all(ACCEPT).iter().any(has_events)
}

impl Draft<'_> {
    fn finish(mut self, dialect: Dialect, counting: &Counting) -> ModelCall {
        self.add_frame(dialect);
        let estimated = self.prompt.finish();
        let output_ceiling = self.output_ceiling(dialect);
        let model = self.model.unwrap_or_else(|| Arc::from(""));
        let (input_tokens, cautious_input_tokens) = counting.calibrated(&model, estimated);
        ModelCall {
            dialect,
            output_ceiling,
            input_tokens,
            cautious_input_tokens,
            estimated,
            model,
            stream: self.stream,
            include_usage: self.include_usage,
            choices: self
                .n
                .map_or(1, |n| u32::try_from(n.max(1)).unwrap_or(u32::MAX)),
        }
    }

    /// Adds what stands around the texts.
    fn add_frame(&mut self, dialect: Dialect) {
        match dialect {
            Dialect::Completions | Dialect::Embeddings | Dialect::NativeEmbeddings => {}
            _ => self.prompt.add(chat_frame(self.messages)),
        }
        if self.has_tools {
            self.prompt.add(TOOLS_FRAME);
        }
        let by_default = || {
            let model = self.model.as_deref();
            model.is_some_and(preserves_thinking_by_default)
        };
        if self.preserve_thinking.unwrap_or_else(by_default) {
            self.prompt.add(self.thoughts.tokens());
        }
    }

    fn output_ceiling(&self, dialect: Dialect) -> Option<u64> {
        if dialect.is_embedding() {
            return Some(0);
        }
        if self.max_completion_tokens.is_some() {
            return self.max_completion_tokens;
        }
        let by_default = || self.model.as_deref().is_some_and(thinks_by_default);
        match (self.thinking, self.thinking_budget) {
            // Anthropic's ceiling holds the thinking too.
            _ if dialect == Dialect::Anthropic => self.max_tokens,
            (None, None) if by_default() => None,
            (Some(false), _) | (None, None) => self.max_tokens,
            (_, Some(budget)) => self.max_tokens.map(|answer| answer.saturating_add(budget)),
            (Some(true), None) => None,
        }
    }
}

impl ParseError {
    fn new(error: &serde_json::Error) -> Self {
        // serde_json has no kind of its own for this one.
        let too_deep =
            error.is_syntax() && error.to_string().starts_with("recursion limit exceeded");
        Self {
            kind: if too_deep {
                ParseErrorKind::TooDeep
            } else {
                ParseErrorKind::NotJson
            },
            line: error.line(),
            column: error.column(),
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ParseErrorKind::NotJson => "request body is not JSON",
            ParseErrorKind::NotObject => "request body is no JSON object",
            ParseErrorKind::TooDeep => "request body is nested too deep",
        };
        write!(f, "{what} (line {}, column {})", self.line, self.column)
    }
}

impl Error for ParseError {}
