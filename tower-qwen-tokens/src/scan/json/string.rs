//! The inside of strings: names, text of the model, the model's name.

use std::sync::Arc;

use crate::scan::{key::Key, lexer::end_of_string, template::PlaceholderKind};

use super::{
    document::{Json, MAX_MODEL},
    position::{StringRole, Token},
};

impl Json {
    pub(super) fn begin_string(&mut self, at: usize) -> StringRole {
        self.may_be_error |= self.position.is_failure();
        if matches!(self.position.member, Some(Key::Id | Key::Model)) {
            self.outline.begin_string(self.offset.saturating_add(at));
        }
        // The first name counts: a stream repeats it in every event.
        let role = if self.found.model.is_none() && self.position.is_model() {
            self.model.clear();
            StringRole::Model
        } else {
            self.position.begin_string(self.text.rule())
        };
        if role == StringRole::Text {
            if let Some(name) = self.position.thought()
                && !self.begin_thought(name)
            {
                return StringRole::Ignored;
            }
            self.outline.begin_text(self.offset.saturating_add(at));
        }
        role
    }

    /// Begins a thought under this name; returns whether it counts.
    #[inline(never)]
    fn begin_thought(&mut self, name: Key) -> bool {
        let begun = *self.thoughts.begun.get_or_insert(name);
        if begun != name {
            // Which of them counts is for the next event to say.
            self.outline.reject();
        }
        self.thoughts.before = self.text.so_far();
        self.thoughts.counted.is_none_or(|counted| counted == name)
    }

    #[inline(never)]
    fn end_thought(&mut self, name: Key) {
        if self.text.so_far() != self.thoughts.before {
            self.thoughts.counted = Some(name);
        }
    }

    /// Reads on within a string, at most to its end; returns how far it came.
    pub(super) fn string(&mut self, role: StringRole, bytes: &[u8], from: usize) -> usize {
        self.position.token = Token::String(role);
        let mut at = from;
        while at < bytes.len() {
            let Some(length) = end_of_string(&bytes[at..]) else {
                self.continue_string(role, &bytes[at..]);
                return bytes.len();
            };
            let inside = &bytes[at..at + length];
            at += length + 1;
            if bytes[at - 1] == b'"' {
                self.end_string(role, inside, at - 1);
                return at;
            }
            self.continue_string(role, inside);
            self.position.token = Token::Escape(role);
            while at < bytes.len() && self.position.token != Token::String(role) {
                self.escape(bytes[at]);
                at += 1;
            }
        }
        at
    }

    fn continue_string(&mut self, role: StringRole, inside: &[u8]) {
        match role {
            StringRole::Name => self.position.name.push(inside),
            StringRole::Text => self.text.push(inside),
            StringRole::Model => self.push_model(inside),
            StringRole::Ignored => {}
        }
    }

    fn end_string(&mut self, role: StringRole, inside: &[u8], at: usize) {
        self.position.token = Token::Between;
        match role {
            StringRole::Name => {
                let is_reason = self.position.member == Some(Key::Finish);
                self.position.name.end(inside, is_reason);
                // The native dialects write "null" as a string until the model has stopped.
                if is_reason && !self.position.name.is_nothing {
                    self.choices.is_ended |= self.position.is_in_choice();
                    self.has_finish_reason = true;
                    self.may_be_error |= self.position.name.is_broken_off;
                }
            }
            StringRole::Text => {
                self.text.push(inside);
                if let Some(name) = self.position.thought() {
                    self.end_thought(name);
                }
                self.outline.end_text(self.offset.saturating_add(at));
            }
            StringRole::Model => {
                self.push_model(inside);
                self.end_model();
            }
            StringRole::Ignored => {}
        }
        let kind = match self.position.member {
            Some(Key::Id) if self.position.is_id() => PlaceholderKind::Id,
            Some(Key::Model) if self.position.is_model() => PlaceholderKind::Model,
            _ => return,
        };
        self.outline
            .end_string(self.offset.saturating_add(at), kind);
    }

    /// Takes the whole name of a model, of which nothing is stored yet.
    pub(super) fn name_model(&mut self, name: &[u8]) {
        self.model.clear();
        self.push_model(name);
        self.end_model();
    }

    fn end_model(&mut self) {
        let name = std::str::from_utf8(&self.model).ok();
        let is_whole = |name: &&str| !name.is_empty() && name.len() <= MAX_MODEL;
        self.found.model = name.filter(is_whole).map(Arc::from);
    }

    fn push_model(&mut self, bytes: &[u8]) {
        // One byte more than a name may have, so that a longer one is seen to be longer.
        let room = (MAX_MODEL + 1).saturating_sub(self.model.len());
        self.model
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes a byte behind a backslash.
    // Escapes are rare. Inlined into `string`, this would take its registers away.
    #[inline(never)]
    pub(super) fn escape(&mut self, byte: u8) {
        match self.position.token {
            Token::Escape(role) => self.begin_escape(role, byte),
            Token::Unicode { role, digits, unit } => self.unicode(role, digits, unit, byte),
            Token::Between | Token::String(_) => {}
        }
    }

    fn begin_escape(&mut self, role: StringRole, byte: u8) {
        self.position.token = if byte == b'u' {
            Token::Unicode {
                role,
                digits: 0,
                unit: 0,
            }
        } else {
            Token::String(role)
        };
        match role {
            StringRole::Name => self.position.name.invalidate(),
            StringRole::Text if byte != b'u' => self.text.push_unit(u16::from(unescape(byte))),
            // The only escape that a model's name may hold is that of a slash; 0xff makes any other
            // no UTF-8.
            StringRole::Model => self.push_model(if byte == b'/' { b"/" } else { b"\xff" }),
            StringRole::Text | StringRole::Ignored => {}
        }
    }

    fn unicode(&mut self, role: StringRole, digits: u8, unit: u16, byte: u8) {
        // What is no digit counts as zero: text is counted, not validated.
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        let unit = unit << 4 | digit as u16;
        if digits < 3 {
            let digits = digits + 1;
            self.position.token = Token::Unicode { role, digits, unit };
            return;
        }
        self.position.token = Token::String(role);
        if role == StringRole::Text {
            self.text.push_unit(unit);
        }
    }
}

/// The character that a byte behind a backslash means.
fn unescape(byte: u8) -> u8 {
    match byte {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}
