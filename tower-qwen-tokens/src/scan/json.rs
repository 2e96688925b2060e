use crate::{Verdict, protocol::usage_body::UsageBody};

use super::{
    capture::Capture,
    delivered::Delivered,
    key::Key,
    place::{Place, Token, Within},
};

/// The most of a document's beginning that is kept for the verdict. Unit: bytes.
pub(super) const MAX_HEAD: usize = 8 * 1024;
/// Scans JSON documents, one at a time: a whole body, or the data of one event after the other.
pub(super) struct Json {
    text: Text,
    place: Place,
    /// The beginning of the document.
    head: Vec<u8>,
    capture: Capture,
    /// Text of this document.
    delivered: Delivered,
    /// Whether the document has a member that errors have.
    suspicious: bool,
    found: Found,
}

/// Which strings are text of the model, and how documents add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Everything under the usual names; each document brings new text.
    Parts,
    /// The same, but a document may repeat the text of those before: the longest counts.
    Repeated,
    /// Only pieces called `delta`; other events repeat what these brought.
    Deltas,
}

/// What the stream says of a document from outside.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Event {
    /// Whether it is called an error.
    pub(super) is_error: bool,
    /// The status it states.
    pub(super) status: Option<u16>,
}

/// What all documents together brought.
#[derive(Default)]
pub(super) struct Found {
    pub(super) usage: Option<UsageBody>,
    /// Whether usage came with an event that ends the answer.
    pub(super) usage_is_whole: bool,
    /// Whether the model said why it stopped.
    pub(super) finished: bool,
    pub(super) delivered: Delivered,
}

impl Json {
    pub(super) fn new(text: Text) -> Self {
        Self {
            text,
            place: Place::default(),
            head: Vec::new(),
            capture: Capture::default(),
            delivered: Delivered::default(),
            suspicious: false,
            found: Found::default(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.step(rest));
            if self.capture.outside.is_some() {
                self.capture.push(now);
                self.close_capture();
            }
            rest = later;
        }
    }

    /// Ends a document: judges it where it may be an error, and forgets it.
    pub(super) fn end_document(&mut self, event: Event) -> Option<Verdict> {
        let verdict = self.judge(event);
        self.found.delivered = self.text_so_far();
        self.place = Place::default();
        self.head.clear();
        self.capture.outside = None;
        self.delivered = Delivered::default();
        self.suspicious = false;
        verdict
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn text_so_far(&self) -> Delivered {
        let before = self.found.delivered;
        match self.text {
            Text::Parts | Text::Deltas => before.plus(self.delivered),
            Text::Repeated if self.delivered.tokens() > before.tokens() => self.delivered,
            Text::Repeated => before,
        }
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.head.capacity() + self.capture.bytes.capacity()
    }

    pub(super) fn into_found(self) -> Found {
        self.found
    }

    fn judge(&self, event: Event) -> Option<Verdict> {
        if !self.suspicious && !event.is_error {
            return None;
        }
        let verdict = Verdict::of_event(&self.head, event.status);
        if verdict.is_some() || !event.is_error {
            return verdict;
        }
        let said = String::from_utf8_lossy(&self.head);
        let wrapped =
            serde_json::json!({ "error": if said.is_empty() { "error" } else { &*said } });
        Verdict::of_event(wrapped.to_string().as_bytes(), event.status)
    }

    /// Takes some bytes from the front of what is not empty, and tells how many.
    fn step(&mut self, bytes: &[u8]) -> usize {
        match self.place.token {
            Token::Between => {
                self.between(bytes[0]);
                1
            }
            Token::String(within) => self.string(within, bytes),
            Token::Escape(within) => {
                self.escape(within, bytes[0]);
                1
            }
            Token::Unicode {
                within,
                digits,
                unit,
            } => {
                self.unicode(within, digits, unit, bytes[0]);
                1
            }
        }
    }

    fn between(&mut self, byte: u8) {
        let place = &mut self.place;
        match byte {
            b'"' => {
                self.suspicious |= place.is_failure();
                place.token = Token::String(place.string_begins(self.text));
            }
            b'{' | b'[' => {
                self.suspicious |= place.is_failure();
                if byte == b'{' && place.is_usage() && self.capture.outside.is_none() {
                    self.capture.open(place.depth);
                }
                place.open(byte);
            }
            b'}' | b']' => place.close(),
            b':' => place.member = place.name.key(),
            b',' => place.forget(),
            b'0'..=b'9' | b'-' => self.suspicious |= place.is_failure(),
            _ => {}
        }
    }

    fn string(&mut self, within: Within, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|&byte| matches!(byte, b'"' | b'\\'));
        let (inside, taken) = end.map_or((bytes, bytes.len()), |at| (&bytes[..at], at + 1));
        match within {
            Within::Name => self.place.name.push(inside),
            Within::Text => self.delivered.add_utf8(inside),
            Within::Passed => {}
        }
        match end.map(|at| bytes[at]) {
            Some(b'"') => self.string_ends(),
            Some(_) => self.place.token = Token::Escape(within),
            None => {}
        }
        taken
    }

    fn string_ends(&mut self) {
        self.place.token = Token::Between;
        if self.place.member == Some(Key::Finish) && !self.place.name.is(b"null") {
            self.found.finished = true;
            self.suspicious = true;
        }
    }

    fn escape(&mut self, within: Within, byte: u8) {
        self.place.token = if byte == b'u' {
            Token::Unicode {
                within,
                digits: 0,
                unit: 0,
            }
        } else {
            Token::String(within)
        };
        match within {
            Within::Name => self.place.name.spoil(),
            Within::Text if byte != b'u' => self.delivered.add_unit(0),
            Within::Text | Within::Passed => {}
        }
    }

    fn unicode(&mut self, within: Within, digits: u8, unit: u16, byte: u8) {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        let unit = unit << 4 | digit as u16;
        if digits < 3 {
            let digits = digits + 1;
            self.place.token = Token::Unicode {
                within,
                digits,
                unit,
            };
            return;
        }
        self.place.token = Token::String(within);
        if within == Within::Text {
            self.delivered.add_unit(unit);
        }
    }

    fn close_capture(&mut self) {
        let place = &self.place;
        if self
            .capture
            .outside
            .is_none_or(|outside| place.depth > outside)
        {
            return;
        }
        if let Some(usage) = self.capture.close().and_then(UsageBody::read) {
            self.found.usage_is_whole |= place.section == Some(Key::Response);
            match &mut self.found.usage {
                Some(known) => known.update(&usage),
                None => self.found.usage = Some(usage),
            }
        }
    }
}
