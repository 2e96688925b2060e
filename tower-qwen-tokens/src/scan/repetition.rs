use std::cmp::Ordering;

use super::delivered::Delivered;

/// So much of the beginning of a text is compared. Unit: bytes.
// Pieces of an answer hardly ever begin alike for longer.
const COMPARED: usize = 32;

/// Finds out whether documents repeat the text of those before them, or bring new text alone.
#[derive(Default)]
pub(super) struct Repetition {
    /// What counts while the texts do not tell.
    pub(super) is_likely_new: bool,
    /// Of the last document that had text.
    last: Beginning,
    /// Of the present document.
    document: Beginning,
    /// How many texts went on with the one before.
    repeating: u32,
    /// How many did not begin with the one before.
    new: u32,
    /// The texts of all documents that are over, added up.
    sum: Delivered,
}

/// How a text begins, and how long it is.
#[derive(Default, Clone, Copy)]
struct Beginning {
    bytes: [u8; COMPARED],
    length: u64,
}

impl Repetition {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.document.push(bytes);
    }

    pub(super) fn discard_document(&mut self) {
        self.document = Beginning::default();
    }

    /// Ends a document with so much text.
    pub(super) fn end_document(&mut self, text: Delivered) {
        self.sum = self.sum.plus(text);
        let text = std::mem::take(&mut self.document);
        if text.length == 0 {
            return;
        }
        let last = std::mem::replace(&mut self.last, text);
        if last.length == 0 {
            return;
        }
        // The same text once more tells nothing: a stream may repeat its end, and a model a word.
        if !text.begins_with(&last) {
            self.new = self.new.saturating_add(1);
        } else if text.length > last.length {
            self.repeating = self.repeating.saturating_add(1);
        }
    }

    /// Whether most documents bring new text alone: one piece may happen to begin with the one before, and a whole text may
    /// have changed once, as where the answer follows its thoughts.
    pub(super) fn is_new(&self) -> bool {
        match self.new.cmp(&self.repeating) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => self.is_likely_new,
        }
    }

    /// All texts added up, but for the present one.
    pub(super) fn sum(&self) -> Delivered {
        self.sum
    }
}

impl Beginning {
    fn push(&mut self, bytes: &[u8]) {
        let from = self.compared();
        let count = bytes.len().min(COMPARED - from);
        self.bytes[from..from + count].copy_from_slice(&bytes[..count]);
        self.length = self.length.saturating_add(bytes.len() as u64);
    }

    fn compared(&self) -> usize {
        usize::try_from(self.length).map_or(COMPARED, |length| length.min(COMPARED))
    }

    fn begins_with(&self, other: &Self) -> bool {
        let compared = other.compared();
        self.length >= other.length && self.bytes[..compared] == other.bytes[..compared]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_new(is_likely_new: bool, texts: &[&str]) -> bool {
        let mut repetition = Repetition {
            is_likely_new,
            ..Repetition::default()
        };
        for text in texts {
            // However it is cut.
            text.bytes().for_each(|byte| repetition.push(&[byte]));
            repetition.end_document(Delivered::default());
        }
        repetition.is_new()
    }

    #[test]
    fn the_texts_tell_what_they_are() {
        let long = "x".repeat(100);
        let longer = "x".repeat(101);
        for (texts, expected) in [
            (&["Once", " upon", " a", " time"][..], true),
            (&["Once", "Once upon", "Once upon a", "Once upon a"], false),
            (&["", "Once", "", "Once upon", ""], false),
            (&["", "Once", "", " upon", ""], true),
            // One that begins like the one before by accident.
            (&["I", " a", " am", " here", "."], true),
            // A whole text that has changed once.
            (&["Hm", "Hmm,", "Yes", "Yes, it", "Yes, it is"], false),
            (&[&long, &longer], false),
            (&[&longer, &long], true),
        ] {
            for is_likely_new in [false, true] {
                assert_eq!(is_new(is_likely_new, texts), expected, "{texts:?}");
            }
        }
    }

    #[test]
    fn what_the_texts_do_not_tell_is_as_likely() {
        for texts in [&[][..], &["a"], &["ha", "ha", "ha"], &["", "a", ""]] {
            for is_likely_new in [false, true] {
                assert_eq!(is_new(is_likely_new, texts), is_likely_new, "{texts:?}");
            }
        }
    }
}
