use super::{
    delivered::Delivered, native_events::NativeEvents, repetition::Repetition,
    text_buffer::TextBuffer,
};

/// Which strings are text of the model, and how documents add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TextRule {
    /// Every string under the usual names; each document brings new text.
    #[default]
    AllParts,
    /// The same, but documents may repeat the text of those before: then the longest counts.
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
    watched: Option<Box<WatchedText>>,
}

/// What is done with the text itself.
#[derive(Default)]
struct WatchedText {
    buffer: Option<TextBuffer>,
    /// Only where documents may repeat the text of those before.
    repetition: Option<Repetition>,
}

impl ModelText {
    pub(super) fn new(rule: TextRule) -> Self {
        let watched = (rule == TextRule::Cumulative).then(|| WatchedText {
            buffer: None,
            repetition: Some(Repetition::default()),
        });
        Self {
            rule,
            watched: watched.map(Box::new),
            ..Self::default()
        }
    }

    /// Takes what is known of documents that may repeat the text of those before; changes nothing elsewhere.
    pub(super) fn set_native_events(&mut self, events: NativeEvents) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        if events == NativeEvents::New && self.rule == TextRule::Cumulative {
            self.rule = TextRule::AllParts;
            watched.repetition = None;
        }
        if let Some(repetition) = &mut watched.repetition {
            repetition.is_likely_new = events == NativeEvents::LikelyNew;
        }
        if watched.is_empty() {
            self.watched = None;
        }
    }

    pub(super) fn rule(&self) -> TextRule {
        self.rule
    }

    /// Stores the text from here on.
    pub(super) fn keep(&mut self) {
        self.watched.get_or_insert_default().buffer = Some(TextBuffer::default());
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.document.add_utf8(bytes);
        if let Some(watched) = &mut self.watched {
            watched.push(bytes);
        }
    }

    /// Takes a UTF-16 unit, as JSON escapes write it.
    pub(super) fn push_unit(&mut self, unit: u16) {
        self.document.add_unit(unit);
        if let Some(watched) = &mut self.watched {
            watched.push_unit(unit);
        }
    }

    /// Drops what the present document brought.
    pub(super) fn discard_document(&mut self) {
        self.document = Delivered::default();
        if let Some(watched) = &mut self.watched {
            watched.discard_document();
        }
    }

    pub(super) fn end_document(&mut self) {
        let (before, after) = (self.before, self.with_document());
        if let Some(watched) = &mut self.watched {
            watched.end_document(self.document, after != before);
        }
        self.before = after;
        self.document = Delivered::default();
    }

    pub(super) fn so_far(&self) -> Delivered {
        match (self.rule, &self.watched) {
            (TextRule::Cumulative, Some(watched)) => {
                let sum = watched.sum_of_new(self.document);
                sum.unwrap_or_else(|| self.with_document())
            }
            _ => self.with_document(),
        }
    }

    /// The same by the rule, whatever the texts look like.
    fn with_document(&self) -> Delivered {
        match self.rule {
            TextRule::AllParts | TextRule::DeltasOnly => self.before.plus(self.document),
            TextRule::Cumulative if self.document.tokens() > self.before.tokens() => self.document,
            TextRule::Cumulative => self.before,
        }
    }

    /// The amount of all text; the text that was stored, with its own amount.
    pub(super) fn finish(self) -> (Delivered, Option<(String, Delivered)>) {
        let delivered = self.so_far();
        let buffer = self.watched.and_then(|watched| watched.buffer);
        (delivered, buffer.map(TextBuffer::finish))
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        let buffer = self.watched.as_ref().and_then(|it| it.buffer.as_ref());
        buffer.map_or(0, TextBuffer::retained)
    }
}

impl WatchedText {
    fn is_empty(&self) -> bool {
        self.buffer.is_none() && self.repetition.is_none()
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(buffer) = &mut self.buffer {
            buffer.push(bytes);
        }
        if let Some(repetition) = &mut self.repetition {
            repetition.push(bytes);
        }
    }

    fn push_unit(&mut self, unit: u16) {
        if let Some(buffer) = &mut self.buffer {
            buffer.push_unit(unit);
        }
        if let Some(repetition) = &mut self.repetition {
            repetition.push(&unit.to_le_bytes());
        }
    }

    fn discard_document(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.discard_document();
        }
        if let Some(repetition) = &mut self.repetition {
            repetition.discard_document();
        }
    }

    /// Ends a document with so much text; `is_longest`: more than those before, each by itself.
    fn end_document(&mut self, text: Delivered, is_longest: bool) {
        let is_repeating = self.repetition.as_mut().is_some_and(|repetition| {
            repetition.end_document(text);
            !repetition.is_new()
        });
        if let Some(buffer) = &mut self.buffer {
            match (is_repeating, is_longest) {
                (false, _) => buffer.append_document(),
                (true, true) => buffer.replace_by_document(),
                // It repeated less than is known already, such as a last event without text.
                (true, false) => buffer.discard_document(),
            }
        }
    }

    /// The texts of all documents added up, the present one with them, if each brings new text alone.
    fn sum_of_new(&self, document: Delivered) -> Option<Delivered> {
        let repetition = self.repetition.as_ref()?;
        repetition.is_new().then(|| repetition.sum().plus(document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(events: Option<NativeEvents>, texts: &[&str]) -> (u64, String) {
        let mut text = ModelText::new(TextRule::Cumulative);
        events
            .into_iter()
            .for_each(|events| text.set_native_events(events));
        text.keep();
        for document in texts {
            text.push(document.as_bytes());
            text.end_document();
        }
        let (delivered, stored) = text.finish();
        (delivered.tokens(), stored.expect("kept").0)
    }

    #[test]
    fn pieces_are_added_up_and_whole_texts_are_not() {
        let pieces: Vec<String> = (0..300).map(|number| format!(" w{number:03}")).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let all = pieces.concat();
        let wholes: Vec<&str> = (1..=300).map(|count| &all[..5 * count]).collect();
        for events in [
            None,
            Some(NativeEvents::LikelyNew),
            Some(NativeEvents::LikelyRepeating),
        ] {
            assert_eq!(finish(events, &pieces), (375, all.clone()));
            assert_eq!(finish(events, &wholes), (375, all.clone()));
        }
        assert_eq!(finish(Some(NativeEvents::New), &pieces), (375, all.clone()));
        // What the request says counts where the texts tell nothing.
        let same = [" ha"; 8];
        assert_eq!(finish(None, &same), (1, " ha".to_owned()));
        for events in [NativeEvents::New, NativeEvents::LikelyNew] {
            assert_eq!(finish(Some(events), &same).0, 6);
        }
    }
}
