//! What a verdict needs of an error body.

use std::time::{Duration, SystemTime};

use super::{
    hint::{self, MILLIS},
    time,
};

/// The longest message that is kept. Unit: bytes.
// The phrases that decide come early; a proxy's HTML page must not be kept whole.
pub(super) const MAX_MESSAGE: usize = 4 * 1024;

/// The parts of an error body that a verdict needs, whatever its shape. What is missing stays `None`.
#[derive(Default)]
pub(super) struct ErrorBody {
    /// `code`, as text even where it is a number.
    pub(super) code: Option<String>,
    /// `type`, beside the code or instead of it.
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
    /// A status that the body states beside its code.
    pub(super) status: Option<u16>,
    /// A wait or an instant that a member states.
    pub(super) wait: Option<Wait>,
    /// Whether there is an error object (or text).
    pub(super) wrapped: bool,
    /// The error of the host behind this one, where the message holds it as JSON.
    pub(super) inner: Option<Box<ErrorBody>>,
    /// Whether a choice ended with the error marker.
    pub(super) broken_off: bool,
    /// Text of the choices; the error's message where a choice is broken off.
    pub(super) delivered: Option<String>,
}

/// A wait or an instant as a member of the body states it.
pub(super) struct Wait {
    pub(super) text: String,
    /// Whether a bare number of it is milliseconds, rather than seconds or a date.
    pub(super) is_millis: bool,
    /// Whether it was copied from a header that comes with every answer.
    pub(super) is_reset: bool,
}

impl Wait {
    /// The wait; `now` is the time of the server.
    pub(super) fn read(&self, now: impl Fn() -> SystemTime) -> Option<Duration> {
        if self.is_millis {
            time::decimal(&self.text, MILLIS)
        } else {
            hint::reset(&self.text, now())
        }
    }
}

impl ErrorBody {
    /// The codes and types, the innermost first: it speaks for the host that refused.
    pub(super) fn codes(&self) -> [&str; 4] {
        let inner = self.inner.as_deref();
        [
            inner.and_then(|inner| inner.code.as_deref()),
            inner.and_then(|inner| inner.kind.as_deref()),
            self.code.as_deref(),
            self.kind.as_deref(),
        ]
        .map(Option::unwrap_or_default)
    }

    /// The codes and types that do not stand in the message, which may repeat the caller's text.
    pub(super) fn own_codes(&self) -> impl Iterator<Item = &str> {
        let own = [&self.code, &self.kind];
        own.into_iter().filter_map(|code| code.as_deref())
    }

    /// Adds a text to the message.
    pub(super) fn append(&mut self, text: Option<String>) {
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
