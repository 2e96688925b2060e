use std::sync::Arc;

use crate::{
    Verdict,
    protocol::usage_body::UsageBody,
    scan::{
        delivered::Delivered,
        lexer::whole_number,
        template::{ContentSink, OutlineRecorder},
        text::{ModelText, TextRule},
    },
};

use super::{
    key::Key,
    position::{JsonPosition, StringRole, Token},
    usage_copy::UsageCopy,
};

/// The most of a document's beginning that is stored for the verdict, in bytes. Errors are short
/// objects; the bound is for answers, of which it is not known at their beginning that they are
/// none.
pub(in crate::scan) const MAX_HEAD: usize = 8 * 1024;
/// The longest name of a model, in bytes. Names come from outside and become labels of metrics.
pub(in crate::scan) const MAX_MODEL: usize = 256;

/// Scans JSON documents, one at a time: a whole body, or the data of one event after the other.
#[derive(Default)]
pub(in crate::scan) struct Json {
    pub(in crate::scan) text: ModelText,
    pub(super) position: JsonPosition,
    /// The beginning of the document.
    pub(in crate::scan) head: Vec<u8>,
    usage: UsageCopy,
    /// The model's name as far as it came.
    pub(super) model: Vec<u8>,
    /// Whether the document has a member that errors have.
    pub(super) may_be_error: bool,
    /// Whether the document says why the model stopped.
    pub(super) has_finish_reason: bool,
    pub(in crate::scan) outline: OutlineRecorder,
    /// The length of the document's earlier pieces. Unit: bytes.
    pub(super) offset: usize,
    pub(super) found: Found,
}

/// What an event's other lines say of its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) struct EventContext {
    /// Whether the event is called `error`.
    pub(in crate::scan) is_error: bool,
    /// The status that a comment states.
    pub(in crate::scan) status: Option<u16>,
}

/// What all documents together brought.
#[derive(Default)]
pub(in crate::scan) struct Found {
    pub(in crate::scan) usage: Option<UsageBody>,
    /// Whether usage came with an event that ends the answer.
    pub(in crate::scan) usage_is_whole: bool,
    /// Whether the model said why it stopped.
    pub(in crate::scan) finished: bool,
    pub(in crate::scan) model: Option<Arc<str>>,
    pub(in crate::scan) delivered: Delivered,
    /// The stored text and its amount; `None` if it was not requested.
    pub(in crate::scan) text: Option<(String, Delivered)>,
}

impl Json {
    pub(in crate::scan) fn new(rule: TextRule) -> Self {
        Self {
            text: ModelText::new(rule),
            ..Self::default()
        }
    }

    pub(in crate::scan) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        // Where in these bytes the part of the usage object begins that is yet to be copied.
        let mut usage = self.usage.outer_depth.map(|_| 0);
        let mut at = 0;
        while at < bytes.len() {
            at = self.step(bytes, at);
            match (usage, self.usage.outer_depth) {
                // The last byte that was read is the brace that opens it.
                (None, Some(_)) => usage = Some(at - 1),
                (Some(from), Some(outer)) if self.position.depth <= outer => {
                    self.usage.push(&bytes[from..at]);
                    self.end_usage(at);
                    usage = None;
                }
                _ => {}
            }
        }
        if let Some(from) = usage {
            self.usage.push(&bytes[from..]);
        }
        self.offset = self.offset.saturating_add(bytes.len());
    }

    /// Ends the document, so that another may follow.
    pub(in crate::scan) fn end_document(&mut self) {
        self.text.end_document();
        self.position = JsonPosition::default();
        self.head.clear();
        self.usage.discard_open();
        self.may_be_error = false;
        self.has_finish_reason = false;
        self.outline.clear();
        self.offset = 0;
    }

    /// Whether the document is a whole object, and neither an error nor the end of the text.
    pub(in crate::scan) fn is_ordinary(&self) -> bool {
        !self.is_special() && self.position.depth == 0 && self.position.token == Token::Between
    }

    /// Whether it may be an error, or ends the text.
    pub(in crate::scan) fn is_special(&self) -> bool {
        self.may_be_error || self.has_finish_reason
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(in crate::scan) fn retained(&self) -> usize {
        let own = self.head.capacity() + self.usage.retained() + self.model.capacity();
        own + self.text.retained()
    }

    pub(in crate::scan) fn into_found(mut self) -> Found {
        self.read_usage();
        let (delivered, text) = self.text.finish();
        Found {
            delivered,
            text,
            ..self.found
        }
    }

    /// Classifies a document that is over and may be an error.
    pub(in crate::scan) fn classify(&self, context: EventContext) -> Option<Verdict> {
        if !self.may_be_error && !context.is_error {
            return None;
        }
        let verdict = Verdict::of_event(&self.head, context.status);
        if verdict.is_some() || !context.is_error {
            return verdict;
        }
        // An event called `error` is one whatever its data: a plain sentence is read as an error's
        // text.
        let message = String::from_utf8_lossy(&self.head);
        let message = if message.is_empty() {
            "error"
        } else {
            &*message
        };
        let wrapped = serde_json::json!({ "error": message });
        Verdict::of_event(wrapped.to_string().as_bytes(), context.status)
    }

    /// Reads some bytes from `at` on, where there is at least one; returns how far it came.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        match self.position.token {
            Token::Between => self.between(bytes, at),
            Token::String(role) => self.string(role, bytes, at),
            Token::Escape(_) | Token::Unicode { .. } => {
                self.escape(bytes[at]);
                at + 1
            }
        }
    }

    /// Reads on to a string that is cut, or to a bracket that may open or close the usage object:
    /// `push` looks at both.
    fn between(&mut self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if self.outline.awaits_choices() {
                self.outline
                    .continue_choices(byte, self.offset.saturating_add(at));
            }
            match byte {
                b'"' => {
                    let role = self.begin_string(at + 1);
                    at = self.string(role, bytes, at + 1);
                    if self.position.token != Token::Between {
                        return at;
                    }
                    continue;
                }
                b',' => self.position.end_member(),
                b':' => self.position.member = self.position.name.key,
                b'{' | b'[' => {
                    let was_open = self.usage.outer_depth.is_some();
                    self.open(byte, at);
                    if !was_open && self.usage.outer_depth.is_some() {
                        return at + 1;
                    }
                }
                b'}' | b']' => {
                    self.position.close();
                    if self.usage.outer_depth.is_some() {
                        return at + 1;
                    }
                }
                b'0'..=b'9' => {
                    self.may_be_error |= self.position.is_failure();
                    if let Some(length) = whole_number(bytes, at) {
                        let start = self.offset.saturating_add(at);
                        self.outline.number(start..start.saturating_add(length));
                        at += length;
                        continue;
                    }
                }
                b'-' => self.may_be_error |= self.position.is_failure(),
                // `null` and the like are no error: some hosts put `"error":null` into every
                // answer.
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn open(&mut self, byte: u8, at: usize) {
        let at = self.offset.saturating_add(at);
        self.may_be_error |= self.position.is_failure();
        if byte == b'{' && self.position.is_usage() && self.usage.outer_depth.is_none() {
            // The copy is about to be overwritten, and two usage objects add to each other.
            self.read_usage();
            self.usage.open(self.position.depth);
            self.outline.begin_usage(self.position.depth, at);
        }
        if self.position.is_choices() {
            self.outline.begin_choices(byte, at);
        }
        self.position.open(byte);
    }

    fn end_usage(&mut self, at: usize) {
        self.usage.outer_depth = None;
        self.outline.end_usage(self.offset.saturating_add(at));
        let is_read = self.read_usage();
        // In the responses dialect only the event that ends the answer states usage, within
        // `response`.
        self.found.usage_is_whole |= is_read && self.position.section == Some(Key::Response);
    }

    /// Reads the usage object that was copied last; returns whether there was one that was not read
    /// yet.
    fn read_usage(&mut self) -> bool {
        let Some(usage) = self.usage.take().and_then(UsageBody::read) else {
            return false;
        };
        match &mut self.found.usage {
            Some(known) => known.update(&usage),
            None => self.found.usage = Some(usage),
        }
        true
    }
}

impl ContentSink for Json {
    fn has_text(&self) -> bool {
        !self.text.so_far().is_empty()
    }

    fn add_text(&mut self, text: &[u8], is_plain: bool) {
        if is_plain {
            self.text.push(text);
            return;
        }
        self.string(StringRole::Text, text, 0);
        self.position.token = Token::Between;
    }

    fn discard_text(&mut self) {
        self.text.discard_document();
    }

    fn end_event(&mut self, usage: Option<&[u8]>) {
        self.text.end_document();
        // Of usage objects of the same shape the last one counts, so the others need not be read.
        if let Some(usage) = usage {
            self.usage.replace(usage);
        }
    }
}
