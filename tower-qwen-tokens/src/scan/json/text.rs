//! The model's text in a document: how much there is, and which, where that is asked for.

use super::{Delivered, Json, Token, Within};

/// Which strings are text of the model, and how documents add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Text {
    /// Everything under the usual names; each document brings new text.
    Parts,
    /// The same, but a document may repeat the text of those before: the longest counts.
    Repeated,
    /// Only pieces called `delta`; other events repeat what these brought.
    Deltas,
}

impl Json {
    /// Counts a text of a document that is not read in full.
    pub(in crate::scan) fn pass_text(&mut self, text: &[u8], is_plain: bool) {
        if is_plain {
            self.text_passes(text);
            return;
        }
        self.string(Within::Text, text, 0);
        self.place.token = Token::Between;
    }

    /// Forgets the texts of a document that is read in full after all.
    pub(in crate::scan) fn forget_text(&mut self) {
        self.delivered = Delivered::default();
        if let Some(kept) = &mut self.kept {
            kept.forget();
        }
    }

    /// Keeps the text from here on.
    pub(in crate::scan) fn keep_text(&mut self) {
        self.kept = Some(Box::default());
    }

    pub(super) fn text_passes(&mut self, bytes: &[u8]) {
        self.delivered.add_utf8(bytes);
        if let Some(kept) = &mut self.kept {
            kept.push(bytes);
        }
    }

    pub(super) fn unit_passes(&mut self, unit: u16) {
        self.delivered.add_unit(unit);
        if let Some(kept) = &mut self.kept {
            kept.push_unit(unit);
        }
    }

    pub(super) fn end_text(&mut self) {
        let (before, after) = (self.found.delivered, self.text_so_far());
        if let Some(kept) = &mut self.kept {
            match self.text {
                Text::Repeated if after == before => kept.forget(),
                text => kept.end_document(text == Text::Repeated),
            }
        }
        self.found.delivered = after;
        self.delivered = Delivered::default();
    }

    pub(in crate::scan) fn text_so_far(&self) -> Delivered {
        let before = self.found.delivered;
        match self.text {
            Text::Parts | Text::Deltas => before.plus(self.delivered),
            Text::Repeated if self.delivered.tokens() > before.tokens() => self.delivered,
            Text::Repeated => before,
        }
    }
}

/// What a byte behind a backslash stands for.
pub(super) fn escaped(byte: u8) -> u8 {
    match byte {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => other,
    }
}
