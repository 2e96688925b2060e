use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess};

use super::{code, header};
use crate::json_reader::{JsonNumber, JsonReader, Read, next_name};

/// The longest code that is kept. Unit: bytes.
const MAX_CODE: usize = 128;
/// The longest message that is kept. Unit: bytes.
const MAX_MESSAGE: usize = 4 * 1024;

/// The parts of an error body that a verdict needs, whatever its shape. What is missing stays `None`.
#[derive(Default)]
pub(super) struct ErrorBody {
    /// `code`, as text even where it is a number.
    pub(super) code: Option<String>,
    /// `type`, where it stands beside the code or instead of it.
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

/// Where in a body an object stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Error,
    Metadata,
    MetadataHeaders,
    Response,
    Choice,
    Delta,
}

/// What a member of an object is.
#[derive(Clone, Copy)]
enum Member {
    Code,
    Kind,
    Message,
    /// What the host behind a router said.
    Raw,
    Reset,
    Content,
    FinishReason,
    Within(Place),
    Ignored,
}

/// Reads a value at a place into the body.
struct Value<'a> {
    body: &'a mut ErrorBody,
    place: Place,
}

/// Reads a string or a number as text, anything else as `None`.
struct Text {
    limit: usize,
}

impl ErrorBody {
    /// Reads the head of an error answer's body: JSON, the first event of a stream, or plain text.
    pub(super) fn of_head(head: &[u8]) -> Self {
        let head = head.trim_ascii();
        let json = if matches!(head.first(), Some(b'{' | b'[')) {
            Some(head)
        } else {
            event_data(head)
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
        if !may_be_error(data) {
            return None;
        }
        let (mut body, _) = read_json(data);
        if body.broken_off && body.message.is_none() {
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

impl Place {
    /// Keeps what was read here: what stands within the error object goes before what stands beside it.
    fn keep(self, slot: &mut Option<String>, read: Option<String>) {
        if read.is_some() && (self == Self::Error || slot.is_none()) {
            *slot = read;
        }
    }
}

/// Reads JSON; what stands before the place where it is cut or broken is kept. The flag tells whether it was whole.
fn read_json(json: &[u8]) -> (ErrorBody, bool) {
    let mut body = ErrorBody::default();
    let value = Read(Value {
        body: &mut body,
        place: Place::Top,
    });
    let complete = value
        .deserialize(&mut serde_json::Deserializer::from_slice(json))
        .is_ok();
    (body, complete)
}

/// The `data` of the first event, where the text is a stream of events.
fn event_data(text: &[u8]) -> Option<&[u8]> {
    text.split(|&byte| byte == b'\n' || byte == b'\r')
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

fn member(place: Place, key: &str) -> Member {
    match (place, key) {
        (Place::Top | Place::Error, "code") => Member::Code,
        (Place::Top | Place::Error, "type" | "error_type") => Member::Kind,
        (Place::Top | Place::Error, "message" | "msg" | "detail") => Member::Message,
        (Place::Top | Place::Response, "error") => Member::Within(Place::Error),
        (Place::Top, "response") => Member::Within(Place::Response),
        (Place::Top, "choices") => Member::Within(Place::Choice),
        (Place::Error, "metadata") => Member::Within(Place::Metadata),
        (Place::Metadata, "raw") => Member::Raw,
        (Place::Metadata, "headers") => Member::Within(Place::MetadataHeaders),
        (Place::MetadataHeaders, name)
            if name.eq_ignore_ascii_case(header::X_RATELIMIT_RESET.as_str()) =>
        {
            Member::Reset
        }
        (Place::Choice, "finish_reason") => Member::FinishReason,
        (Place::Choice, "delta" | "message") => Member::Within(Place::Delta),
        (Place::Delta, "content") => Member::Content,
        _ => Member::Ignored,
    }
}

impl<'de> JsonReader<'de> for Value<'_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { body, place } = self;
        while let Some(member) = next_name(&mut members, |name| member(place, name))? {
            body.wrapped |= place == Place::Error;
            let limit = match member {
                Member::Message | Member::Raw | Member::Content => MAX_MESSAGE,
                _ => MAX_CODE,
            };
            let mut text = || members.next_value_seed(Read(Text { limit }));
            match member {
                Member::Code => place.keep(&mut body.code, text()?),
                Member::Kind => place.keep(&mut body.kind, text()?),
                Member::Message => place.keep(&mut body.message, text()?),
                Member::Raw => body.append(text()?),
                Member::Reset => body.reset = text()?,
                Member::Content => body.delivered = text()?,
                Member::FinishReason => {
                    let reason = text()?;
                    body.broken_off |=
                        reason.is_some_and(|reason| code::is_broken_off(reason.as_bytes()));
                }
                Member::Within(place) => members.next_value_seed(Read(Value {
                    body: &mut *body,
                    place,
                }))?,
                Member::Ignored => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { body, place } = self;
        while elements
            .next_element_seed(Read(Value {
                body: &mut *body,
                place,
            }))?
            .is_some()
        {}
        Ok(())
    }

    fn text(self, text: &str) {
        if self.place == Place::Error && !text.is_empty() {
            self.body.wrapped = true;
            self.body.append(Some(
                text[..text.floor_char_boundary(MAX_MESSAGE)].to_owned(),
            ));
        }
    }
}

impl JsonReader<'_> for Text {
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
