mod escape;
mod text;

use std::sync::Arc;

use crate::{Verdict, protocol::usage_body::UsageBody};

use super::{
    capture::Capture,
    delivered::Delivered,
    hole::{end_of_string, whole_number},
    kept::Kept,
    key::Key,
    place::{Place, Token, Within},
    sketch::Sketch,
};

pub(super) use text::Text;

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
    /// Which text that was, and of those before; `None` unless it is asked for.
    kept: Option<Box<Kept>>,
    /// Whether the document has a member that errors have.
    suspicious: bool,
    /// Whether the document says why the model stopped.
    finishes: bool,
    sketch: Sketch,
    /// How much of the document earlier pieces brought. Unit: bytes.
    passed: usize,
    found: Found,
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
    /// Its text and how much of it that is, where it is asked for.
    pub(super) text: Option<(String, Delivered)>,
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
            kept: None,
            suspicious: false,
            finishes: false,
            sketch: Sketch::default(),
            passed: 0,
            found: Found::default(),
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut usage = self.capture.outside.map(|_| 0);
        let mut at = 0;
        while at < bytes.len() {
            at = self.step(bytes, at);
            match (usage, self.capture.outside) {
                // What opens it is the last byte that was taken.
                (None, Some(_)) => usage = Some(at - 1),
                (Some(from), Some(outside)) if self.place.depth <= outside => {
                    self.capture.push(&bytes[from..at]);
                    self.usage_ends(at);
                    usage = None;
                }
                _ => {}
            }
        }
        if let Some(from) = usage {
            self.capture.push(&bytes[from..]);
        }
        self.passed = self.passed.saturating_add(bytes.len());
    }

    /// Forgets a document that is over.
    pub(super) fn end_document(&mut self) {
        self.end_text();
        self.place = Place::default();
        self.head.clear();
        self.capture.give_up();
        self.suspicious = false;
        self.finishes = false;
        self.sketch.clear();
        self.passed = 0;
    }

    /// A whole document like the one before, with these texts and this usage, passed by.
    pub(super) fn pass_document(&mut self, usage: Option<&[u8]>) {
        self.end_text();
        // Of usage of the same shape the last one stands, so the others need not be read.
        if let Some(usage) = usage {
            self.capture.replace(usage);
        }
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(super) fn sketch(&self) -> &Sketch {
        &self.sketch
    }

    /// Whether the document is a whole object, and neither an error nor the end of the text.
    pub(super) fn is_sound(&self) -> bool {
        !self.is_special() && self.place.depth == 0 && self.place.token == Token::Between
    }

    /// Whether it may be an error, or ends the text.
    pub(super) fn is_special(&self) -> bool {
        self.suspicious || self.finishes
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.retained());
        self.head.capacity() + self.capture.retained() + self.model.capacity() + kept
    }

    pub(super) fn into_found(mut self) -> Found {
        self.read_usage();
        self.found.text = self.kept.take().map(|kept| kept.finish());
        self.found
    }

    /// Classifies a document that is over and may be an error.
    pub(super) fn classify(&self, event: Event) -> Option<Verdict> {
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

    /// Goes on from there, where something stands; tells how far it came.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        match self.place.token {
            Token::Between => self.between(bytes, at),
            Token::String(within) => self.string(within, bytes, at),
            Token::Escape(_) | Token::Unicode { .. } => {
                self.escape(bytes[at]);
                at + 1
            }
        }
    }

    /// Goes on up to a string that is cut, or up to what opens or closes a capture.
    fn between(&mut self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if self.sketch.awaits_choices() {
                self.sketch
                    .choices_go_on(byte, self.passed.saturating_add(at));
            }
            match byte {
                b'"' => {
                    let within = self.string_begins(at + 1);
                    at = self.string(within, bytes, at + 1);
                    if self.place.token != Token::Between {
                        return at;
                    }
                    continue;
                }
                b',' => self.place.forget(),
                b':' => self.place.member = self.place.name.key,
                b'{' | b'[' => {
                    let was_open = self.capture.outside.is_some();
                    self.opens(byte, at);
                    if !was_open && self.capture.outside.is_some() {
                        return at + 1;
                    }
                }
                b'}' | b']' => {
                    self.place.close();
                    if self.capture.outside.is_some() {
                        return at + 1;
                    }
                }
                b'0'..=b'9' => {
                    self.suspicious |= self.place.is_failure();
                    if let Some(length) = whole_number(bytes, at) {
                        let start = self.passed.saturating_add(at);
                        self.sketch.number(start, start.saturating_add(length));
                        at += length;
                        continue;
                    }
                }
                b'-' => self.suspicious |= self.place.is_failure(),
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn string_begins(&mut self, at: usize) -> Within {
        self.suspicious |= self.place.is_failure();
        let within = if self.found.model.is_none() && self.place.is_model() {
            self.model.clear();
            Within::Model
        } else {
            self.place.string_begins(self.text)
        };
        if within == Within::Text {
            self.sketch.text_begins(self.passed.saturating_add(at));
        }
        within
    }

    fn opens(&mut self, byte: u8, at: usize) {
        let at = self.passed.saturating_add(at);
        self.suspicious |= self.place.is_failure();
        if byte == b'{' && self.place.is_usage() && self.capture.outside.is_none() {
            self.read_usage();
            self.capture.open(self.place.depth);
            self.sketch.usage_begins(self.place.depth, at);
        }
        if self.place.is_choices() {
            self.sketch.choices_begin(byte, at);
        }
        self.place.open(byte);
    }

    /// Goes on within a string, at most to its end.
    fn string(&mut self, within: Within, bytes: &[u8], from: usize) -> usize {
        self.place.token = Token::String(within);
        let mut at = from;
        while at < bytes.len() {
            let Some(length) = end_of_string(&bytes[at..]) else {
                self.string_goes_on(within, &bytes[at..]);
                return bytes.len();
            };
            let inside = &bytes[at..at + length];
            at += length + 1;
            if bytes[at - 1] == b'"' {
                self.string_ends(within, inside, at - 1);
                return at;
            }
            self.string_goes_on(within, inside);
            self.place.token = Token::Escape(within);
            while at < bytes.len() && self.place.token != Token::String(within) {
                self.escape(bytes[at]);
                at += 1;
            }
        }
        at
    }

    fn string_goes_on(&mut self, within: Within, inside: &[u8]) {
        match within {
            Within::Name => self.place.name.push(inside),
            Within::Text => self.text_passes(inside),
            Within::Model => self.model_goes_on(inside),
            Within::Passed => {}
        }
    }

    fn string_ends(&mut self, within: Within, inside: &[u8], at: usize) {
        self.place.token = Token::Between;
        match within {
            Within::Name => {
                self.place.name.ends(inside);
                if self.place.member == Some(Key::Finish) && !self.place.name.is_null {
                    self.found.finished = true;
                    self.finishes = true;
                    self.suspicious |= self.place.name.is_broken_off;
                }
            }
            Within::Text => {
                self.text_passes(inside);
                self.sketch.text_ends(self.passed.saturating_add(at));
            }
            Within::Model => {
                self.model_goes_on(inside);
                let name = std::str::from_utf8(&self.model).ok();
                let is_whole = |name: &&str| !name.is_empty() && name.len() <= MAX_MODEL;
                self.found.model = name.filter(is_whole).map(Arc::from);
            }
            Within::Passed => {}
        }
    }

    /// Keeps one byte too many of a name that is too long.
    fn model_goes_on(&mut self, bytes: &[u8]) {
        let room = (MAX_MODEL + 1).saturating_sub(self.model.len());
        self.model
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn usage_ends(&mut self, at: usize) {
        self.capture.outside = None;
        self.sketch.usage_ends(self.passed.saturating_add(at));
        let is_read = self.read_usage();
        self.found.usage_is_whole |= is_read && self.place.section == Some(Key::Response);
    }

    /// Reads the usage object that was copied last, if it has not been; tells whether.
    fn read_usage(&mut self) -> bool {
        let Some(usage) = self.capture.take().and_then(UsageBody::read) else {
            return false;
        };
        match &mut self.found.usage {
            Some(known) => known.update(&usage),
            None => self.found.usage = Some(usage),
        }
        true
    }
}
