use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::{
    Usage, Verdict,
    protocol::usage_body::UsageBody,
    scan::{
        delivered::Delivered,
        lexer::whole_number,
        template::{ContentSink, OutlineRecorder, PlaceholderKind},
        text::{ModelText, TextRule},
        usage_sum::{UsagePlace, UsageSum},
    },
};

use super::{
    choices::Choices,
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
    /// What an earlier usage object of the document states; hardly any has two.
    document_usage: Option<Box<UsageBody>>,
    /// Whether the document states a figure of usage.
    states_usage: bool,
    /// Whether the usage of this document is that of the whole answer by where it stands.
    ends_usage: bool,
    pub(super) choices: Choices,
    pub(super) thoughts: Thoughts,
    /// How many values the document holds side by side; it should be one.
    values: u32,
    /// Whether the document is no event's data but stands in the stream as it is.
    pub(in crate::scan) is_bare: bool,
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

/// The thoughts of one document, which may state the same ones under several names: the first that
/// has some counts.
#[derive(Default)]
pub(super) struct Thoughts {
    /// The first name.
    pub(super) begun: Option<Key>,
    /// The first name with a text.
    pub(super) counted: Option<Key>,
    /// The amount of text before the last one began.
    pub(super) before: Delivered,
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
    /// In a box, as it is large and many scanners see the beginning of a stream alone.
    usage: Option<Box<UsageSum>>,
    /// How many answers one prompt gets; `None`: there is one prompt.
    answers_per_prompt: Option<u32>,
    /// Whether no answer has ended since usage was stated.
    pub(in crate::scan) usage_is_current: bool,
    /// Whether usage came with an event that ends the answer.
    pub(in crate::scan) usage_is_whole: bool,
    /// The amount of text when usage came alone, which is the end of a stream of one answer.
    usage_alone_at: Option<Delivered>,
    /// Whether the model said why it stopped, outside of a list of answers.
    pub(in crate::scan) finished: bool,
    pub(in crate::scan) model: Option<Arc<str>>,
    pub(in crate::scan) delivered: Delivered,
    /// The stored text and its amount; `None` if it was not requested.
    pub(in crate::scan) text: Option<(String, Delivered)>,
}

impl Json {
    /// `answers_per_prompt` is `None` where a call has one prompt.
    pub(in crate::scan) fn new(rule: TextRule, answers_per_prompt: Option<u32>) -> Self {
        let mut json = Self {
            text: ModelText::new(rule),
            ..Self::default()
        };
        json.found.answers_per_prompt = answers_per_prompt;
        json
    }

    /// How many answers each of several prompts gets. Changes nothing for a call of one prompt.
    pub(in crate::scan) fn set_answers_per_prompt(&mut self, count: u32) {
        if let Some(answers) = &mut self.found.answers_per_prompt {
            *answers = count;
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
        if self.usage.is_of_document() || self.document_usage.is_some() {
            self.state_document_usage();
        }
        if self.has_finish_reason {
            self.end_answers();
        }
        self.clear_document();
    }

    /// Ends a document that came in several lines and makes none together: each line is one.
    pub(in crate::scan) fn end_by_lines(&mut self) {
        if self.is_closed() || self.offset > MAX_HEAD {
            return self.end_document();
        }
        let lines = std::mem::take(&mut self.head);
        self.text.discard_document();
        self.usage.discard();
        self.clear_document();
        for line in lines.split(|&byte| byte == b'\n') {
            self.push(line);
            self.end_document();
        }
    }

    fn state_document_usage(&mut self) {
        self.usage.discard_open();
        if let Some(body) = self.take_document_usage() {
            self.state(self.usage_place(), &body);
        }
    }

    fn end_answers(&mut self) {
        // Of an event that is cut behind the reason to stop, the usage may be missing.
        if !self.is_closed() {
            return;
        }
        if self.choices.ended.is_empty() {
            self.found.finished = true;
        } else {
            self.found.usage().end(self.choices.ended);
        }
        // Otherwise the usage up to the end is still to come.
        self.found.usage_is_current = self.states_usage;
    }

    fn clear_document(&mut self) {
        self.position = JsonPosition::default();
        self.head.clear();
        self.document_usage = None;
        self.states_usage = false;
        self.ends_usage = false;
        self.choices = Choices::default();
        self.thoughts.begun = None;
        self.thoughts.counted = None;
        self.values = 0;
        self.is_bare = false;
        self.may_be_error = false;
        self.has_finish_reason = false;
        self.outline.clear();
        self.offset = 0;
    }

    /// Of what usage of this document is stated.
    pub(in crate::scan) fn usage_place(&self) -> UsagePlace {
        match self.outline.has_choices() {
            Some(true) => UsagePlace::Beside(self.choices.first()),
            Some(false) => UsagePlace::Alone,
            None => UsagePlace::Whole,
        }
    }

    /// Whether the document is a whole object, and neither an error nor the end of the text.
    pub(in crate::scan) fn is_ordinary(&self) -> bool {
        !self.is_special() && self.is_closed()
    }

    /// Whether nothing of the document is open.
    pub(in crate::scan) fn is_closed(&self) -> bool {
        self.position.depth == 0 && self.position.token == Token::Between
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
        self.state_copied();
        let (delivered, text) = self.text.finish();
        Found {
            delivered,
            text,
            ..self.found
        }
    }

    /// Classifies a document that is over and may be an error; in any case one that came in a way
    /// that is not usual.
    pub(in crate::scan) fn classify(
        &self,
        context: EventContext,
        is_unusual: bool,
    ) -> Option<Verdict> {
        if !self.may_be_error && !context.is_error && !is_unusual {
            return None;
        }
        let of = |document: &[u8]| Verdict::of_event(document, context.status);
        let mut verdict = of(&self.head);
        // An event that was not closed has another one behind it, whole or cut as it may be.
        if verdict.is_none() && (is_unusual || self.values > 1) {
            verdict = documents(&self.head).find_map(of);
        }
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
                    if byte == b'}' && self.position.is_among_choices() {
                        self.close_choice();
                    }
                    if self.usage.outer_depth.is_some() {
                        return at + 1;
                    }
                }
                b'0'..=b'9' => {
                    self.may_be_error |= self.position.is_failure();
                    let is_index = self.position.is_choice_index();
                    let whole = whole_number(bytes, at);
                    if is_index {
                        let digits = &bytes[at..at + whole.unwrap_or(1)];
                        digits
                            .iter()
                            .for_each(|&digit| self.choices.push_digit(digit));
                    }
                    if let Some(length) = whole {
                        let start = self.offset.saturating_add(at);
                        let kind = if is_index {
                            PlaceholderKind::Index
                        } else {
                            PlaceholderKind::Number
                        };
                        self.outline
                            .number(start..start.saturating_add(length), kind);
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
            // The copy is about to be overwritten.
            if self.usage.place.is_some() {
                self.state_copied();
            } else {
                self.document_usage = self.take_document_usage();
            }
            self.usage.open(self.position.depth);
            self.outline.begin_usage(self.position.depth, at);
            if self.position.is_in_choice() && !self.choices.is_first() {
                self.outline.reject();
            }
        }
        if self.position.is_choices() {
            self.outline.begin_choices(byte, at);
        }
        match self.position.depth {
            0 => self.values = self.values.saturating_add(1),
            2 if byte == b'{' && self.position.is_among_choices() => self.choices.open(),
            _ => {}
        }
        self.position.open(byte);
    }

    fn close_choice(&mut self) {
        let number = self.choices.close();
        // Usage within an answer is that one's; elsewhere in the document it is the first one's.
        if self.usage.is_in_choice
            && let Some(body) = self.take_document_usage()
        {
            self.state(UsagePlace::Beside(number), &body);
        }
    }

    fn end_usage(&mut self, at: usize) {
        self.usage.outer_depth = None;
        self.usage.is_in_choice = self.position.is_in_choice();
        self.outline.end_usage(self.offset.saturating_add(at));
        // In the responses dialect only the event that ends the answer states usage, within
        // `response`.
        if self.position.section == Some(Key::Response) {
            self.ends_usage = true;
            self.outline.reject();
        }
    }

    /// What the usage objects of the document state together, once.
    fn take_document_usage(&mut self) -> Option<Box<UsageBody>> {
        self.usage.is_in_choice = false;
        let copied = self.usage.take().and_then(UsageBody::read).map(Box::new);
        match (self.document_usage.take(), copied) {
            (Some(mut first), Some(second)) => {
                first.update(&second);
                Some(first)
            }
            (first, second) => first.or(second),
        }
    }

    fn state(&mut self, place: UsagePlace, body: &UsageBody) {
        if !self.found.usage().state(place, body) {
            return;
        }
        self.states_usage = true;
        self.found.usage_is_current = true;
        let is_body = self.is_bare && !matches!(place, UsagePlace::Beside(_));
        self.found.usage_is_whole |= self.ends_usage || is_body;
        if place == UsagePlace::Alone {
            self.found.usage_alone_at = Some(self.text.so_far());
        }
    }

    /// Takes over the usage of the last event that was compared.
    #[cold]
    fn state_copied(&mut self) {
        if let Some(place) = self.usage.place.take()
            && let Some(body) = self.usage.take().and_then(UsageBody::read)
        {
            self.found.usage().state(place, &body);
        }
    }
}

impl Found {
    fn usage(&mut self) -> &mut UsageSum {
        let answers_per_prompt = self.answers_per_prompt;
        self.usage
            .get_or_insert_with(|| Box::new(UsageSum::new(answers_per_prompt)))
    }

    /// The usage of all answers together.
    pub(in crate::scan) fn total_usage(&self) -> Option<Usage> {
        self.usage.as_ref()?.total()
    }

    /// Whether a stream of so many answers says that it is whole.
    pub(in crate::scan) fn is_whole(&self, answers: u32) -> bool {
        let ends_with_usage = self.usage_alone_at == Some(self.delivered);
        self.finished
            || self.usage_is_whole
            || self
                .usage
                .as_ref()
                .is_some_and(|usage| usage.ended().are(answers))
            || (ends_with_usage && answers <= 1)
    }
}

/// The documents that begin with one of the first lines and are whole.
fn documents(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A bound for work: an event of two or three lines is rare enough.
    const MAX_LINES: usize = 16;
    let breaks = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    std::iter::once(0)
        .chain(breaks)
        .take(MAX_LINES)
        .flat_map(|start| {
            let rest = &text[start..];
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            let mut from = 0;
            std::iter::from_fn(move || {
                values.next()?.ok()?;
                let document = &rest[from..values.byte_offset()];
                from = values.byte_offset();
                Some(document)
            })
        })
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

    fn take_usage(&mut self, usage: &[u8], place: UsagePlace) {
        // Of usage objects of the same shape the last one counts, so the others need not be read.
        if self.usage.place != Some(place) {
            self.state_copied();
        }
        self.usage.replace(usage, place);
    }

    fn end_event(&mut self) {
        self.text.end_document();
    }
}
