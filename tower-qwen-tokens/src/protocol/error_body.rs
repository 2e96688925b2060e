use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};

use super::{code, hint_header::X_RATELIMIT_RESET};
use crate::json_reader::{JsonNumber, JsonReader, Read, next_name};

/// The longest code that is kept. Unit: bytes.
// Known codes have at most 28 bytes; a longer text there is no code.
const MAX_CODE: usize = 128;
/// The longest message that is kept. Unit: bytes.
// The phrases that decide come early; a proxy's HTML page must not be kept whole.
const MAX_MESSAGE: usize = 4 * 1024;

/// The parts of an error body that a verdict needs, whatever its shape. What is missing stays `None`.
#[derive(Default)]
pub(super) struct ErrorBody {
    /// `code`, as text even where it is a number.
    pub(super) code: Option<String>,
    /// `type`, beside the code or instead of it.
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
    /// A reset that a router wrote into the body, copied from the header of the host behind it.
    pub(super) reset: Option<String>,
    /// Whether there is an error object (or text).
    pub(super) wrapped: bool,
    /// Whether a choice ended with the error marker.
    broken_off: bool,
    /// Text of the choices; the error's message where a choice is broken off.
    delivered: Option<String>,
}

/// The part of a body that an object belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorPart {
    Top,
    Error,
    Metadata,
    MetadataHeaders,
    Response,
    Choice,
    Delta,
}

/// What a field of an object is.
#[derive(Clone, Copy)]
enum ErrorField {
    Code,
    Kind,
    Message,
    /// The message of the host behind a router.
    Raw,
    Reset,
    Content,
    FinishReason,
    Within(ErrorPart),
    Ignored,
}

/// Reads a value of this part into the body.
struct ErrorReader<'a> {
    body: &'a mut ErrorBody,
    part: ErrorPart,
}

/// Reads a string or a number as text, anything else as `None`.
struct TextReader {
    limit: usize,
}

impl ErrorBody {
    /// Reads the head of an error answer's body: JSON, the first event of a stream, or plain text.
    pub(super) fn of_head(head: &[u8]) -> Self {
        let head = head.trim_ascii();
        let json = if matches!(head.first(), Some(b'{' | b'[')) {
            Some(head)
        } else {
            first_data(head)
        };
        let (mut body, complete) = json.map(read_json).unwrap_or_default();
        if !complete && body.message.is_none() {
            let text = String::from_utf8_lossy(&head[..head.len().min(MAX_MESSAGE)]);
            body.message = (!text.is_empty()).then(|| text.into_owned());
        }
        body
    }

    /// Reads an event of a stream; `None` where it is no error.
    pub(super) fn of_event(data: &[u8]) -> Option<Self> {
        // Nearly every event is none, and this runs for all of them.
        if !may_be_error(data) {
            return None;
        }
        let (mut body, _) = read_json(data);
        if body.broken_off && body.message.is_none() {
            // A host that breaks off an answer puts the reason where the text would be.
            body.message = body.delivered.take();
        }
        let failed =
            body.wrapped || body.broken_off || body.code.as_deref().is_some_and(code::is_failure);
        failed.then_some(body)
    }

    fn append(&mut self, text: Option<String>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        match &mut self.message {
            Some(message) => {
                message.push(' ');
                message.push_str(&text);
                message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            }
            None => self.message = Some(text),
        }
    }
}

impl ErrorPart {
    /// Sets a field once; a value inside the error object replaces one from beside it.
    fn set(self, target: &mut Option<String>, read: Option<String>) {
        // Inside the error object the provider speaks; beside it a router may.
        if read.is_some() && (self == Self::Error || target.is_none()) {
            *target = read;
        }
    }
}

/// Reads JSON that may be cut or broken: all before that point is used. The flag: whether it was
/// whole.
fn read_json(json: &[u8]) -> (ErrorBody, bool) {
    let mut body = ErrorBody::default();
    let value = Read(ErrorReader {
        body: &mut body,
        part: ErrorPart::Top,
    });
    let complete = value
        .deserialize(&mut serde_json::Deserializer::from_slice(json))
        .is_ok();
    (body, complete)
}

/// The `data` of the first event, where the text is a stream of events.
fn first_data(text: &[u8]) -> Option<&[u8]> {
    text.split(|&byte| byte == b'\n' || byte == b'\r')
        // `event:`, `id:`, comments and blank lines may come before the first `data:`.
        .take(16)
        .find_map(|line| line.strip_prefix(b"data:"))
        .map(<[u8]>::trim_ascii_start)
        .filter(|data| data.first() == Some(&b'{'))
}

/// Whether the bytes hold a key or a value that every error has. Spares the ordinary event its parse.
fn may_be_error(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"error") || rest.starts_with(b"code\"") {
            return true;
        }
    }
    false
}

fn field(part: ErrorPart, key: &str) -> ErrorField {
    match (part, key) {
        (ErrorPart::Top | ErrorPart::Error, "code") => ErrorField::Code,
        (ErrorPart::Top | ErrorPart::Error, "type" | "error_type") => ErrorField::Kind,
        (ErrorPart::Top | ErrorPart::Error, "message" | "msg" | "detail") => ErrorField::Message,
        (ErrorPart::Top | ErrorPart::Response, "error") => ErrorField::Within(ErrorPart::Error),
        (ErrorPart::Top, "response") => ErrorField::Within(ErrorPart::Response),
        (ErrorPart::Top, "choices") => ErrorField::Within(ErrorPart::Choice),
        (ErrorPart::Error, "metadata") => ErrorField::Within(ErrorPart::Metadata),
        (ErrorPart::Metadata, "raw") => ErrorField::Raw,
        (ErrorPart::Metadata, "headers") => ErrorField::Within(ErrorPart::MetadataHeaders),
        (ErrorPart::MetadataHeaders, name)
            if name.eq_ignore_ascii_case(X_RATELIMIT_RESET.as_str()) =>
        {
            ErrorField::Reset
        }
        (ErrorPart::Choice, "finish_reason") => ErrorField::FinishReason,
        (ErrorPart::Choice, "delta" | "message") => ErrorField::Within(ErrorPart::Delta),
        (ErrorPart::Delta, "content") => ErrorField::Content,
        _ => ErrorField::Ignored,
    }
}

impl<'de> JsonReader<'de> for ErrorReader<'_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { body, part } = self;
        while let Some(field) = next_name(&mut members, |name| field(part, name))? {
            body.wrapped |= part == ErrorPart::Error;
            let limit = match field {
                ErrorField::Message | ErrorField::Raw | ErrorField::Content => MAX_MESSAGE,
                _ => MAX_CODE,
            };
            let mut text = || members.next_value_seed(Read(TextReader { limit }));
            match field {
                ErrorField::Code => part.set(&mut body.code, text()?),
                ErrorField::Kind => part.set(&mut body.kind, text()?),
                ErrorField::Message => part.set(&mut body.message, text()?),
                ErrorField::Raw => body.append(text()?),
                ErrorField::Reset => body.reset = text()?,
                ErrorField::Content => body.delivered = text()?,
                ErrorField::FinishReason => {
                    let reason = text()?;
                    body.broken_off |=
                        reason.is_some_and(|reason| code::is_broken_off(reason.as_bytes()));
                }
                ErrorField::Within(part) => members.next_value_seed(Read(ErrorReader {
                    body: &mut *body,
                    part,
                }))?,
                ErrorField::Ignored => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { body, part } = self;
        while elements
            .next_element_seed(Read(ErrorReader {
                body: &mut *body,
                part,
            }))?
            .is_some()
        {}
        Ok(())
    }

    fn text(self, text: &str) {
        if self.part == ErrorPart::Error && !text.is_empty() {
            self.body.wrapped = true;
            self.body.append(Some(
                text[..text.floor_char_boundary(MAX_MESSAGE)].to_owned(),
            ));
        }
    }
}

impl JsonReader<'_> for TextReader {
    type Output = Option<String>;

    fn other(self) -> Option<String> {
        None
    }

    fn text(self, text: &str) -> Option<String> {
        Some(text[..text.floor_char_boundary(self.limit)].to_owned())
    }

    fn number(self, number: JsonNumber) -> Option<String> {
        match number {
            JsonNumber::Natural(number) => Some(number.to_string()),
            JsonNumber::Negative(number) => Some(number.to_string()),
            JsonNumber::Decimal(_) => None,
        }
    }
}
