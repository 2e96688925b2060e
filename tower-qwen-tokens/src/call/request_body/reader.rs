use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header::ACCEPT};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess};

use super::{
    ParseError,
    draft::Draft,
    field::{RequestField, RequestPart, field},
    half_pairs::without_half_pairs,
    letter_case::known_but_for_case,
    parse_error::MODEL_TWICE,
};
use crate::{
    Dialect,
    call::{Ceiling, ModelCall, counting::Counting},
    estimate::{Estimate, Tally},
    json_reader::{JsonNumber, JsonReader, Read, next_name},
    protocol::header::X_DASHSCOPE_SSE,
};

/// The quotes, the colon or the comma of a string in JSON. Unit: tokens.
// `":"` and `","` are single tokens: one for each name and each text.
const JSON_STRING: u64 = 1;
/// A number, a flag or a null in JSON with its comma. Unit: tokens.
const JSON_SCALAR: u64 = 3;
/// The brackets of an object or a list in JSON. Unit: tokens.
// Opening brackets join the quote that follows; what is left is about one for each pair.
const JSON_COMPOUND: u64 = 1;
/// Members that say whether a stream states its usage, as they are named in a refusal.
const STREAM_OPTIONS: &str = "stream_options";
const INCLUDE_USAGE: &str = "stream_options.include_usage";
/// No model's name is longer; the rest of a longer one is not kept. Unit: bytes.
// Ids of models are far shorter. The name is kept with the call and becomes a key of the ledger, so
// it must not be as long as a body.
const MAX_NAME: usize = 256;

/// Reads a value of this part into the draft.
pub(super) struct RequestReader<'a, 'e> {
    pub(super) draft: &'a mut Draft<'e>,
    pub(super) dialect: Dialect,
    pub(super) part: RequestPart,
}

/// A value of which only the simple kinds matter.
enum Scalar {
    Text(Arc<str>),
    Number(u64),
    Flag(bool),
    Null,
    /// Of a kind that matters nowhere: a list, an object, a number below zero.
    Other,
}

/// Reads a [`Scalar`] value.
struct ScalarReader;

/// Reads the body of a request in this dialect.
///
/// # Errors
///
/// A body that is no JSON object, nested too deep, or names its model twice.
pub(in crate::call) fn read(
    dialect: Dialect,
    headers: &HeaderMap,
    body: &[u8],
    counting: &Counting,
) -> Result<ModelCall, ParseError> {
    // No server needs the mark, and none that reads JSON with Python minds it.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut draft = draft_of(dialect, body, counting).or_else(|error| {
        // Only a body that fails is searched and copied.
        let whole = without_half_pairs(body).ok_or(error)?;
        draft_of(dialect, &whole, counting)
    })?;
    // The reader passes over any kind of value, so a list or a bare text arrives here as well.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ParseError::not_object());
    }
    if dialect.is_native() {
        draft.stream = Some(asks_for_events(headers));
    }
    Ok(draft.finish(dialect, counting))
}

/// What a body says that is valid JSON, its texts as well.
fn draft_of<'e>(
    dialect: Dialect,
    body: &[u8],
    counting: &'e Counting,
) -> Result<Draft<'e>, ParseError> {
    let mut draft = Draft {
        counter: counting.counter.as_deref(),
        ..Draft::default()
    };
    let value = Read(RequestReader {
        draft: &mut draft,
        dialect,
        part: if dialect.is_native() {
            RequestPart::Native
        } else {
            RequestPart::Compatible
        },
    });
    // Checked once, and not string by string.
    let read = match std::str::from_utf8(body) {
        Ok(text) => read_value(value, serde_json::Deserializer::from_str(text)),
        Err(_) => read_value(value, serde_json::Deserializer::from_slice(body)),
    };
    read.map_err(|error| ParseError::new(&error))?;
    Ok(draft)
}

fn read_value<'de, R: serde_json::de::Read<'de>>(
    value: Read<RequestReader<'_, '_>>,
    mut json: serde_json::Deserializer<R>,
) -> serde_json::Result<()> {
    value.deserialize(&mut json)?;
    json.end()
}

/// Whether the headers of a native call ask for a stream.
fn asks_for_events(headers: &HeaderMap) -> bool {
    let is_enabled = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.eq_ignore_ascii_case(b"enable")
    };
    // `Accept` may list several types with weights.
    let has_events = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        text.contains("text/event-stream")
    };
    headers.get(X_DASHSCOPE_SSE).is_some_and(is_enabled)
        || headers.get_all(ACCEPT).iter().any(has_events)
}

impl Draft<'_> {
    fn push(&mut self, text: &str) {
        push(&mut self.prompt, self.counter, text);
    }

    fn add(&mut self, tokens: u64) {
        self.prompt.add(tokens);
    }

    /// A text that may be in the prompt or not.
    fn add_unread(&mut self, text: &str) {
        self.unread = self.unread.saturating_add(text.len() as u64);
    }

    /// Of a name in another case, and of two the last: hosts that are written in Go take it, others do not.
    #[cold]
    fn add_other_case(&mut self, part: RequestPart, known: &'static str) {
        match part {
            RequestPart::StreamOptions => self.unclear_usage = Some(INCLUDE_USAGE),
            _ => self.other_case = Some(known),
        }
    }

    fn add_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    fn set(&mut self, field: RequestField, value: Scalar) {
        match (field, value.into_number_for(field)) {
            (RequestField::Model, Scalar::Text(model)) => self.model = Some(model),
            (RequestField::Stream, value) => self.set_stream(&value),
            (RequestField::IncludeUsage, Scalar::Flag(on)) => self.include_usage = on,
            (RequestField::IncludeUsage, Scalar::Null) => {}
            (RequestField::IncludeUsage, _) => self.unclear_usage = Some(INCLUDE_USAGE),
            // Hosts take other kinds for true, or the first of two: only `false` and `null` are certain.
            (RequestField::Background, value) => {
                self.background |= !matches!(value, Scalar::Flag(false) | Scalar::Null);
            }
            (RequestField::IncrementalOutput, Scalar::Flag(on)) => {
                self.incremental_output = Some(on);
            }
            (RequestField::N, Scalar::Number(n)) => self.n = self.n.max(Some(n)),
            (RequestField::BestOf, Scalar::Number(n)) => self.best_of = self.best_of.max(Some(n)),
            (RequestField::Ceiling(Ceiling::Answer), value) => {
                self.answer_ceiling.add(value.number());
            }
            (RequestField::Ceiling(Ceiling::Whole), value) => {
                self.whole_ceiling.add(value.number());
            }
            (RequestField::EnableThinking, Scalar::Flag(on)) => self.set_thinking(on),
            (RequestField::PreserveThinking, Scalar::Flag(on)) => self.preserve_thinking = Some(on),
            (RequestField::ThinkingBudget, value) => self.thinking_budget.add(value.number()),
            (RequestField::Effort, Scalar::Text(effort)) => self.set_thinking(&*effort != "none"),
            (RequestField::ThinkingType, Scalar::Text(kind)) => {
                self.set_thinking(&*kind != "disabled");
            }
            _ => {}
        }
    }

    fn set_stream(&mut self, value: &Scalar) {
        let on = match value {
            Scalar::Flag(on) => *on,
            Scalar::Null => false,
            _ => {
                self.is_stream_unclear = true;
                return;
            }
        };
        // Of two that differ some hosts take the first and some the last.
        self.is_stream_unclear |= self.stream.is_some_and(|before| before != on);
        self.stream = Some(on);
    }

    /// Of members that differ a host may take any: thinking makes the answer longer.
    fn set_thinking(&mut self, on: bool) {
        self.thinking = Some(on || self.thinking == Some(true));
    }
}

impl Scalar {
    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The number that a text writes, where a number is wanted: servers written in Python take both.
    fn into_number_for(self, field: RequestField) -> Self {
        use RequestField::{BestOf, Ceiling, N, ThinkingBudget};
        match &self {
            Self::Text(text) if matches!(field, N | BestOf | Ceiling(_) | ThinkingBudget) => {
                text.trim().parse().map_or(Self::Other, Self::Number)
            }
            _ => self,
        }
    }
}

fn push(tally: &mut Tally, counter: Option<&dyn Estimate>, text: &str) {
    match counter {
        Some(counter) => tally.push_counted(text, counter.estimate(text)),
        None => {
            tally.push(text);
        }
    }
}

/// Whether it is base64 or an address, and no text: its bytes say nothing of its tokens.
fn is_data(text: &str) -> bool {
    text.is_ascii() && memchr::memchr(b' ', text.as_bytes()).is_none()
}

impl RequestReader<'_, '_> {
    fn scalar(self) {
        if self.part == RequestPart::Json {
            self.draft.add(JSON_SCALAR);
        }
    }
}

impl<'de> JsonReader<'de> for RequestReader<'_, '_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self {
            draft,
            dialect,
            part,
        } = self;
        // An object inside of a message is a part of it, not one more message.
        let part = match part {
            RequestPart::Messages | RequestPart::OneOfMessages => {
                draft.add_message();
                RequestPart::Message
            }
            RequestPart::Json => {
                draft.add(JSON_COMPOUND);
                part
            }
            RequestPart::Media(tokens) => {
                draft.prompt.add_media(tokens);
                RequestPart::Media(0)
            }
            _ => part,
        };
        while let Some(field) = next_name(&mut members, |name| {
            if part == RequestPart::Json {
                draft.push(name);
                draft.add(JSON_STRING);
            }
            if part == RequestPart::Unread {
                draft.add_unread(name);
            }
            if let Some(known) = known_but_for_case(part, name) {
                draft.add_other_case(part, known);
            }
            field(dialect, part, name)
        })? {
            let within = match field {
                RequestField::Within(part) => {
                    if part == RequestPart::StreamOptions {
                        // Of two members of one name a parser takes the last.
                        draft.include_usage = false;
                    }
                    part
                }
                RequestField::Message => {
                    draft.add_message();
                    RequestPart::Content
                }
                RequestField::Tools => {
                    let before = draft.prompt.tokens();
                    members.next_value_seed(Read(RequestReader {
                        draft: &mut *draft,
                        dialect,
                        part: RequestPart::Json,
                    }))?;
                    // `null` and `[]` are no tools, and cost at most as much as a scalar.
                    draft.has_tools |= draft.prompt.tokens().saturating_sub(before) > JSON_SCALAR;
                    continue;
                }
                RequestField::Ignored => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                RequestField::Model if draft.names_model => {
                    // A host that takes the first would run another model than the one that was checked and priced.
                    return Err(A::Error::custom(MODEL_TWICE));
                }
                field => {
                    draft.names_model |= field == RequestField::Model;
                    draft.set(field, members.next_value_seed(Read(ScalarReader))?);
                    continue;
                }
            };
            members.next_value_seed(Read(RequestReader {
                draft: &mut *draft,
                dialect,
                part: within,
            }))?;
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self {
            draft,
            dialect,
            part,
        } = self;
        let part = match part {
            RequestPart::Messages => RequestPart::OneOfMessages,
            RequestPart::OneOfMessages => {
                draft.add_message();
                RequestPart::Content
            }
            RequestPart::Json => {
                draft.add(JSON_COMPOUND);
                part
            }
            RequestPart::StreamOptions => {
                draft.unclear_usage = Some(STREAM_OPTIONS);
                part
            }
            RequestPart::Media(tokens) => {
                draft.prompt.add_media(tokens);
                RequestPart::Media(0)
            }
            _ => part,
        };
        while elements
            .next_element_seed(Read(RequestReader {
                draft: &mut *draft,
                dialect,
                part,
            }))?
            .is_some()
        {}
        Ok(())
    }

    fn text(self, text: &str) {
        let Self { draft, part, .. } = self;
        match part {
            RequestPart::Content => draft.push(text),
            RequestPart::Messages | RequestPart::OneOfMessages => {
                draft.add_message();
                draft.push(text);
            }
            RequestPart::Thoughts => push(&mut draft.thoughts, draft.counter, text),
            RequestPart::Json => {
                draft.push(text);
                draft.add(JSON_STRING);
            }
            RequestPart::StreamOptions => draft.unclear_usage = Some(STREAM_OPTIONS),
            RequestPart::Media(tokens) => {
                draft.prompt.add_media(tokens);
                if !is_data(text) {
                    draft.add_unread(text);
                }
            }
            RequestPart::Unread if !(text.starts_with("data:") && is_data(text)) => {
                draft.add_unread(text);
            }
            _ => {}
        }
    }

    fn number(self, _: JsonNumber) {
        match self.part {
            // The id of a token.
            RequestPart::Content | RequestPart::Messages | RequestPart::OneOfMessages => {
                self.draft.add(1);
            }
            RequestPart::StreamOptions => self.draft.unclear_usage = Some(STREAM_OPTIONS),
            RequestPart::Media(tokens) => self.draft.prompt.add_media(tokens),
            _ => self.scalar(),
        }
    }

    fn boolean(self, _: bool) {
        match self.part {
            RequestPart::StreamOptions => self.draft.unclear_usage = Some(STREAM_OPTIONS),
            RequestPart::Media(tokens) => self.draft.prompt.add_media(tokens),
            _ => self.scalar(),
        }
    }

    fn null(self) {
        self.scalar();
    }
}

impl JsonReader<'_> for ScalarReader {
    type Output = Scalar;

    fn other(self) -> Scalar {
        Scalar::Other
    }

    fn text(self, text: &str) -> Scalar {
        Scalar::Text(Arc::from(&text[..text.floor_char_boundary(MAX_NAME)]))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn number(self, number: JsonNumber) -> Scalar {
        match number {
            JsonNumber::Natural(number) => Scalar::Number(number),
            JsonNumber::Decimal(number) if number >= 0.0 => Scalar::Number(number as u64),
            JsonNumber::Negative(_) | JsonNumber::Decimal(_) => Scalar::Other,
        }
    }

    fn boolean(self, flag: bool) -> Scalar {
        Scalar::Flag(flag)
    }

    fn null(self) -> Scalar {
        Scalar::Null
    }
}
