use super::{delivered::Delivered, text_buffer::TextBuffer};

/// Which strings are text of the model, and how documents add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TextRule {
    /// Every string under the usual names; each document brings new text.
    #[default]
    AllParts,
    /// The same, but a document may repeat the text of those before: the longest counts.
    Cumulative,
    /// Only strings called `delta`; other events repeat what these brought.
    DeltasOnly,
}

/// The model's text in the documents of one answer: how much there is, and which, if that was
/// requested.
#[derive(Default)]
pub(super) struct ModelText {
    rule: TextRule,
    /// In the documents that are over.
    before: Delivered,
    /// In the present document.
    document: Delivered,
    /// In a box, as most scanners have none.
    buffer: Option<Box<TextBuffer>>,
}

impl ModelText {
    pub(super) fn new(rule: TextRule) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    pub(super) fn rule(&self) -> TextRule {
        self.rule
    }

    /// Stores the text from here on.
    pub(super) fn keep(&mut self) {
        self.buffer = Some(Box::default());
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.document.add_utf8(bytes);
        if let Some(buffer) = &mut self.buffer {
            buffer.push(bytes);
        }
    }

    /// Takes a UTF-16 unit, as JSON escapes write it.
    pub(super) fn push_unit(&mut self, unit: u16) {
        self.document.add_unit(unit);
        if let Some(buffer) = &mut self.buffer {
            buffer.push_unit(unit);
        }
    }

    /// Drops what the present document brought.
    pub(super) fn discard_document(&mut self) {
        self.document = Delivered::default();
        if let Some(buffer) = &mut self.buffer {
            buffer.discard_document();
        }
    }

    pub(super) fn end_document(&mut self) {
        let (before, after) = (self.before, self.so_far());
        if let Some(buffer) = &mut self.buffer {
            match self.rule {
                // The document repeated less than is known already, such as a last event without
                // text.
                TextRule::Cumulative if after == before => buffer.discard_document(),
                TextRule::Cumulative => buffer.replace_by_document(),
                TextRule::AllParts | TextRule::DeltasOnly => buffer.append_document(),
            }
        }
        self.before = after;
        self.document = Delivered::default();
    }

    pub(super) fn so_far(&self) -> Delivered {
        match self.rule {
            TextRule::AllParts | TextRule::DeltasOnly => self.before.plus(self.document),
            TextRule::Cumulative if self.document.tokens() > self.before.tokens() => self.document,
            TextRule::Cumulative => self.before,
        }
    }

    /// The amount of all text; the text that was stored, with its own amount.
    pub(super) fn finish(self) -> (Delivered, Option<(String, Delivered)>) {
        (self.before, self.buffer.map(|buffer| buffer.finish()))
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.retained())
    }
}
