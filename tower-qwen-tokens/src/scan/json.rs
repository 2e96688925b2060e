use std::sync::Arc;

use memchr::memchr2;

use crate::{Verdict, protocol::usage_body::UsageBody};

use super::{
    capture::Capture,
    delivered::Delivered,
    key::Key,
    pattern::Like,
    place::{Place, Token, Within},
    sketch::Sketch,
};

/// The most of a document's beginning that is kept for the verdict. Unit: bytes.
pub(super) const MAX_HEAD: usize = 8 * 1024;
/// No model's name is longer. Unit: bytes.
pub(super) const MAX_MODEL: usize = 256;

/// Scans JSON documents, one at a time: a whole body, or the data of one event after the other.
pub(super) struct Json {
    text: Text,
    place: Place,
    /// The beginning of the document.
    head: Vec<u8>,
    capture: Capture,
    /// The model's name as far as it came.
    model: Vec<u8>,
    /// Text of this document.
    delivered: Delivered,
    /// Whether the document has a member that errors have.
    suspicious: bool,
    sketch: Sketch,
    /// How much of the document has passed. Unit: bytes.
    passed: usize,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    pub(super) model: Option<Arc<str>>,
    pub(super) delivered: Delivered,
}

impl Json {
    pub(super) fn new(text: Text) -> Self {
        Self {
            text,
            place: Place::default(),
            head: Vec::new(),
            capture: Capture::default(),
            model: Vec::new(),
            delivered: Delivered::default(),
            suspicious: false,
            sketch: Sketch::default(),
            passed: 0,
            found: Found::default(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let before = self.passed;
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            self.passed = before.saturating_add(at);
            let was_open = self.capture.outside.is_some();
            let taken = self.step(rest);
            if self.capture.outside.is_some() {
                // What opens it is the last byte that was taken.
                let from = if was_open { 0 } else { taken - 1 };
                self.capture.push(&rest[from..taken]);
                self.close_capture();
            }
            at += taken;
        }
        self.passed = before.saturating_add(bytes.len());
    }

    /// Forgets a document that is over.
    pub(super) fn end_document(&mut self) {
        self.found.delivered = self.text_so_far();
        self.place = Place::default();
        self.head.clear();
        self.capture.outside = None;
        self.delivered = Delivered::default();
        self.suspicious = false;
        self.sketch = Sketch::default();
        self.passed = 0;
    }

    /// A whole document that brings some text and nothing else.
    pub(super) fn pass_document(&mut self, like: &Like<'_>) {
        if like.is_plain {
            self.delivered.add_utf8(like.text);
        } else {
            self.place.token = Token::String(Within::Text);
            let mut rest = like.text;
            while !rest.is_empty() {
                rest = &rest[self.step(rest)..];
            }
            self.place.token = Token::Between;
        }
        self.found.delivered = self.text_so_far();
        self.delivered = Delivered::default();
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// Whether the document is a whole object and no error.
    pub(super) fn is_sound(&self) -> bool {
        !self.suspicious && self.place.depth == 0 && self.place.token == Token::Between
    }

    pub(super) fn is_suspicious(&self) -> bool {
        self.suspicious
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
        self.head.capacity() + self.capture.bytes.capacity() + self.model.capacity()
    }

    pub(super) fn into_found(self) -> Found {
        self.found
    }

    /// Judges a document that is over and may be an error.
    pub(super) fn judge(&self, event: Event) -> Option<Verdict> {
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
            Token::Between => self.between(bytes),
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

    /// Takes what stands between strings: up to the next one, and one byte at a time where that may open or close a
    /// capture.
    fn between(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            self.sketch.see(byte);
            match byte {
                b'"' => {
                    self.string_begins(at);
                    return at + 1;
                }
                b',' => self.place.forget(),
                b':' => self.place.member = self.place.name.key(),
                b'{' | b'[' => {
                    self.opens(byte);
                    if self.capture.outside.is_some() {
                        return at + 1;
                    }
                }
                b'}' | b']' => {
                    self.place.close();
                    if self.capture.outside.is_some() {
                        return at + 1;
                    }
                }
                b'0'..=b'9' | b'-' => self.suspicious |= self.place.is_failure(),
                _ => {}
            }
        }
        bytes.len()
    }

    fn string_begins(&mut self, at: usize) {
        self.suspicious |= self.place.is_failure();
        let within = if self.found.model.is_none() && self.place.is_model() {
            self.model.clear();
            Within::Model
        } else {
            self.place.string_begins(self.text)
        };
        if within == Within::Text {
            self.sketch.text_begins(self.passed.saturating_add(at + 1));
        }
        self.place.token = Token::String(within);
    }

    fn opens(&mut self, byte: u8) {
        let place = &mut self.place;
        self.suspicious |= place.is_failure();
        if byte == b'{' && place.is_usage() && self.capture.outside.is_none() {
            self.capture.open(place.depth);
            self.sketch.usage_begins(place.depth);
        }
        if place.is_choices() {
            self.sketch.choices_begin(byte);
        }
        place.open(byte);
    }

    fn string(&mut self, within: Within, bytes: &[u8]) -> usize {
        let end = end_of_string(bytes);
        let (inside, taken) = end.map_or((bytes, bytes.len()), |at| (&bytes[..at], at + 1));
        match within {
            Within::Name => self.place.name.push(inside),
            Within::Text => self.delivered.add_utf8(inside),
            Within::Model => self.model_goes_on(inside),
            Within::Passed => {}
        }
        match end.map(|at| bytes[at]) {
            Some(b'"') => {
                if within == Within::Text {
                    self.sketch.text_ends(self.passed.saturating_add(taken - 1));
                }
                self.string_ends(within);
            }
            Some(_) => self.place.token = Token::Escape(within),
            None => {}
        }
        taken
    }

    fn string_ends(&mut self, within: Within) {
        self.place.token = Token::Between;
        if within == Within::Model {
            let name = std::str::from_utf8(&self.model).ok();
            let is_whole = |name: &&str| !name.is_empty() && name.len() <= MAX_MODEL;
            self.found.model = name.filter(is_whole).map(Arc::from);
        }
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
            // No model's name holds an escape but that of a slash.
            Within::Model => self.model_goes_on(if byte == b'/' { b"/" } else { b"\xff" }),
            Within::Text | Within::Passed => {}
        }
    }

    /// Keeps one byte too many of a name that is too long.
    fn model_goes_on(&mut self, bytes: &[u8]) {
        let room = (MAX_MODEL + 1).saturating_sub(self.model.len());
        self.model
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
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

/// Where a string ends or holds an escape. Most are short, for which the search by blocks does not pay.
fn end_of_string(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 16;
    let is_end = |&byte: &u8| matches!(byte, b'"' | b'\\');
    let (near, far) = bytes.split_at(bytes.len().min(SHORT));
    near.iter()
        .position(is_end)
        .or_else(|| memchr2(b'"', b'\\', far).map(|at| at + near.len()))
}
