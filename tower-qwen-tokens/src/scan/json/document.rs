use crate::{
    protocol::usage_body::UsageBody,
    scan::{
        lexer::whole_number,
        template::{Effect, Outline, OutlineRecorder, PlaceholderKind},
        text::{ModelText, TextRule},
    },
};

use super::{
    choices::Choices,
    found::Found,
    position::{JsonPosition, Token},
    thoughts::Thoughts,
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
    pub(super) usage: UsageCopy,
    /// What an earlier usage object of the document states; hardly any has two.
    pub(super) document_usage: Option<Box<UsageBody>>,
    /// Whether the document states a figure of usage.
    pub(super) states_usage: bool,
    /// Whether the usage of this document is that of the whole answer by where it stands.
    pub(super) ends_usage: bool,
    pub(super) choices: Choices,
    pub(super) thoughts: Thoughts,
    /// How many values the document holds side by side; it should be one.
    pub(super) values: u32,
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

    /// Whether the document is a whole object, and neither an error nor the end of the text.
    pub(in crate::scan) fn is_ordinary(&self) -> bool {
        !self.is_special() && self.is_closed()
    }

    /// Whether nothing of the document is open.
    pub(in crate::scan) fn is_closed(&self) -> bool {
        self.position.depth == 0 && self.position.token == Token::Between
    }

    /// The outline of a whole document that can be a template, and what such a document does.
    pub(in crate::scan) fn outline(&self) -> Option<(&Outline, Effect)> {
        if self.may_be_error || !self.is_closed() {
            return None;
        }
        let outline = self.outline.outline()?;
        let effect = if self.has_finish_reason {
            // Elsewhere the reason may come before the list of answers, and with usage its order
            // counts.
            let is_alone = outline.usage().is_none() && self.document_usage.is_none();
            if self.choices.ended.is_empty() || !is_alone {
                return None;
            }
            Effect::Ends(self.choices.ended)
        } else if self.outline.is_usage_only() {
            Effect::UsageAlone
        } else {
            Effect::Text
        };
        Some((outline, effect))
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
}
