//! Takes what a verdict needs out of the JSON of an error, wherever hosts put it.

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::{
    code,
    error_parts::{ErrorBody, MAX_MESSAGE, Wait},
    hint_header::X_RATELIMIT_RESET,
};
use crate::json_reader::{JsonNumber, JsonReader, Read, next_name};

/// The longest code that is kept. Unit: bytes.
// Known codes have at most 28 bytes; a longer text there is no code.
const MAX_CODE: usize = 128;

/// The part of a body that an object belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorPart {
    Top,
    Error,
    /// What a host adds to an error: its `metadata`, `details` or `detail`.
    Details,
    Headers,
    Response,
    Choice,
    Delta,
}

/// What a field of an object is.
#[derive(Clone, Copy)]
enum ErrorField {
    Code,
    Kind,
    /// A number is the status, a name is a type.
    Status,
    Message,
    /// The message of the host behind a router.
    Raw,
    /// Which quota it was, by a name without blanks.
    Quota,
    Wait {
        is_millis: bool,
        is_reset: bool,
    },
    Content,
    FinishReason,
    Within(ErrorPart),
    Ignored,
}

/// Reads a value of this part into the body.
pub(super) struct ErrorReader<'a> {
    pub(super) body: &'a mut ErrorBody,
    pub(super) part: ErrorPart,
}

/// Reads a string or a number as text, anything else as `None`.
struct TextReader {
    limit: usize,
}

fn field(part: ErrorPart, key: &str) -> ErrorField {
    use ErrorPart::{Choice, Delta, Details, Error, Headers, Response, Top};
    match (part, key) {
        (Top | Error | Details, "code") | (Top, "error_code") => ErrorField::Code,
        (Top | Error | Details, "type" | "error_type") => ErrorField::Kind,
        (Top | Error, "status" | "status_code" | "statusCode") => ErrorField::Status,
        (Top | Error | Details, "message" | "msg") | (Top, "error_msg") => ErrorField::Message,
        (Top | Details | Response | Choice, "error") | (Top, "errors") => ErrorField::Within(Error),
        (Top, "response") => ErrorField::Within(Response),
        (Top, "choices") => ErrorField::Within(Choice),
        (Top | Error, "detail") | (Error, "details" | "metadata") | (Details, "violations") => {
            ErrorField::Within(Details)
        }
        (Details, "raw") => ErrorField::Raw,
        (Details, "quotaId") => ErrorField::Quota,
        (Details, "headers") => ErrorField::Within(Headers),
        (Headers, name) if name.eq_ignore_ascii_case(X_RATELIMIT_RESET.as_str()) => {
            ErrorField::Wait {
                is_millis: false,
                is_reset: true,
            }
        }
        (Choice, "finish_reason") => ErrorField::FinishReason,
        (Choice, "delta" | "message") => ErrorField::Within(Delta),
        (Delta, "content") => ErrorField::Content,
        // How long a host expects to load the model, in seconds.
        (Top, "estimated_time") => ErrorField::Wait {
            is_millis: false,
            is_reset: false,
        },
        (Top | Error | Details | Headers, name) => wait_field(name),
        _ => ErrorField::Ignored,
    }
}

/// A member that states a wait or an instant: `retry_after`, `retryAfterSeconds`, `resets_in_seconds`, `retryDelay`.
fn wait_field(name: &str) -> ErrorField {
    // Before anything is copied: nearly no member is one.
    let may_be = |start: &str| {
        name.get(..start.len())
            .is_some_and(|own| own.eq_ignore_ascii_case(start))
    };
    if !["ret", "res", "quotares", "nextflush"]
        .into_iter()
        .any(may_be)
    {
        return ErrorField::Ignored;
    }
    let plain = name.chars().filter(char::is_ascii_alphanumeric);
    let plain: String = plain.map(|letter| letter.to_ascii_lowercase()).collect();
    let is_millis = ["ms", "millis", "milliseconds"].into_iter();
    let is_millis = is_millis.filter_map(|unit| plain.strip_suffix(unit)).next();
    let plain = is_millis.unwrap_or(&plain);
    let plain = ["seconds", "secs", "sec"]
        .into_iter()
        .find_map(|unit| plain.strip_suffix(unit))
        .unwrap_or(plain);
    match plain {
        "retryafter"
        | "retryin"
        | "retryat"
        | "retrydelay"
        | "resetafter"
        | "resetsafter"
        | "resetin"
        | "resetsin"
        | "resetat"
        | "resetsat"
        | "resettime"
        | "quotaresetdelay"
        | "quotaresettimestamp"
        | "nextflushtime" => ErrorField::Wait {
            is_millis: is_millis.is_some(),
            is_reset: false,
        },
        _ => ErrorField::Ignored,
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
                // RFC 9457: the type of a problem is an address, and no code.
                ErrorField::Kind => {
                    let kind = text()?.filter(|kind| !kind.starts_with("http"));
                    part.set(&mut body.kind, kind);
                }
                ErrorField::Message => part.set(&mut body.message, text()?),
                ErrorField::Raw => body.append(text()?),
                ErrorField::Status => {
                    let text = text()?.unwrap_or_default();
                    match text.parse() {
                        Ok(status) => body.status = Some(status),
                        // Beside the error object it says that there is one.
                        Err(_) if part == ErrorPart::Error && body.kind.is_none() => {
                            body.kind = Some(text).filter(|text| !text.is_empty());
                        }
                        Err(_) => {}
                    }
                }
                ErrorField::Quota => {
                    let quota = text()?.filter(|quota| quota.contains("PerDay"));
                    body.append(quota.map(|_| "per day".to_owned()));
                }
                ErrorField::Wait {
                    is_millis,
                    is_reset,
                } => {
                    if let Some(text) = text()?.filter(|_| body.wait.is_none()) {
                        body.wait = Some(Wait {
                            text,
                            is_millis,
                            is_reset,
                        });
                    }
                }
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
        if !matches!(self.part, ErrorPart::Error | ErrorPart::Details) || text.is_empty() {
            return;
        }
        self.body.wrapped |= self.part == ErrorPart::Error;
        self.body.append(Some(
            text[..text.floor_char_boundary(MAX_MESSAGE)].to_owned(),
        ));
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
            JsonNumber::Decimal(number) => Some(number.to_string()),
        }
    }
}
