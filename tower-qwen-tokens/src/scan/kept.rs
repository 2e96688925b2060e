use super::delivered::Delivered;

/// The most text of one answer that is kept. Unit: bytes.
pub(super) const MAX_TEXT: usize = 1024 * 1024;

/// Text of the model, for whoever counts it at the end.
#[derive(Default)]
pub(super) struct Kept {
    /// Of the documents before this one.
    whole: Vec<u8>,
    /// Of this one.
    document: Vec<u8>,
    /// The first half of a pair of UTF-16 units.
    high: Option<u16>,
}

impl Kept {
    /// Takes raw UTF-8, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_TEXT.saturating_sub(self.whole.len() + self.document.len());
        self.document
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes a UTF-16 unit, as JSON escapes write it.
    pub(super) fn push_unit(&mut self, unit: u16) {
        let units = self.high.take().into_iter().chain([unit]);
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Forgets the document's text.
    pub(super) fn forget(&mut self) {
        self.document.clear();
        self.high = None;
    }

    /// The document is over: its text comes to that of the others, or takes its place.
    pub(super) fn end_document(&mut self, replaces: bool) {
        self.high = None;
        if replaces {
            std::mem::swap(&mut self.whole, &mut self.document);
        } else {
            self.whole.append(&mut self.document);
        }
        self.document.clear();
    }

    /// All of it, and how much of what was delivered that is.
    pub(super) fn finish(self) -> (String, Delivered) {
        let mut delivered = Delivered::default();
        delivered.add_utf8(&self.whole);
        (String::from_utf8_lossy(&self.whole).into_owned(), delivered)
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.whole.capacity() + self.document.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kept: Kept) -> String {
        kept.finish().0
    }

    #[test]
    fn bytes_and_units_make_a_text() {
        let mut kept = Kept::default();
        for byte in "é你".bytes() {
            kept.push(&[byte]);
        }
        for unit in "a🙂\n".encode_utf16() {
            kept.push_unit(unit);
        }
        kept.end_document(false);
        kept.push_unit(0xd83d);
        kept.push_unit(u16::from(b'x'));
        kept.push_unit(0xdc00);
        kept.end_document(false);
        assert_eq!(text(kept), "é你a🙂\n\u{fffd}x\u{fffd}");
    }

    #[test]
    fn documents_add_up_or_take_the_place_of_others() {
        let mut kept = Kept::default();
        kept.push(b"one");
        kept.end_document(false);
        kept.push(b" two");
        kept.forget();
        kept.push(b" three");
        kept.end_document(false);
        assert_eq!(kept.whole, b"one three");
        kept.push(b"one three four");
        kept.end_document(true);
        assert_eq!(text(kept), "one three four");
    }

    #[test]
    fn no_more_is_kept_than_the_most() {
        let mut kept = Kept::default();
        for _ in 0..3_000 {
            kept.push(&[b'x'; 1_000]);
            kept.end_document(false);
        }
        kept.push_unit(u16::from(b'y'));
        kept.end_document(false);
        assert!(kept.retained() <= 4 * MAX_TEXT);
        let (text, delivered) = kept.finish();
        assert_eq!(text.len(), MAX_TEXT);
        assert_eq!(delivered.tokens(), MAX_TEXT as u64 / 4);
    }
}
