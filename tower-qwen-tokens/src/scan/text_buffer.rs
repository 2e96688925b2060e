use super::delivered::Delivered;

/// The most text of one answer that is stored, in bytes: a bound for memory. Of longer texts the
/// amount is known all the same, and the count of the stored part is scaled up by it.
pub(super) const MAX_TEXT: usize = 1024 * 1024;

/// Text of the model, stored to be counted once at the end.
#[derive(Default)]
pub(super) struct TextBuffer {
    /// Of the documents that are over.
    before: Vec<u8>,
    /// Of the present document, apart, as it may turn out to repeat the text before.
    document: Vec<u8>,
    /// The first half of a pair of UTF-16 units.
    high: Option<u16>,
}

impl TextBuffer {
    /// Takes raw UTF-8, cut anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_TEXT.saturating_sub(self.before.len() + self.document.len());
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

    /// Drops the document's text.
    pub(super) fn discard_document(&mut self) {
        self.document.clear();
        // A pair does not go on in the next document.
        self.high = None;
    }

    /// The document is over: its text follows that of the others.
    pub(super) fn append_document(&mut self) {
        self.before.append(&mut self.document);
        self.discard_document();
    }

    /// The document is over: its text takes the place of that of the others.
    pub(super) fn replace_by_document(&mut self) {
        // Swapped rather than moved, so that both allocations are used again.
        std::mem::swap(&mut self.before, &mut self.document);
        self.discard_document();
    }

    /// All text, and its amount.
    pub(super) fn finish(self) -> (String, Delivered) {
        let mut delivered = Delivered::default();
        delivered.add_utf8(&self.before);
        (
            String::from_utf8_lossy(&self.before).into_owned(),
            delivered,
        )
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.before.capacity() + self.document.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(buffer: TextBuffer) -> String {
        buffer.finish().0
    }

    #[test]
    fn bytes_and_units_make_a_text() {
        let mut buffer = TextBuffer::default();
        for byte in "é你".bytes() {
            buffer.push(&[byte]);
        }
        for unit in "a🙂\n".encode_utf16() {
            buffer.push_unit(unit);
        }
        buffer.append_document();
        buffer.push_unit(0xd83d);
        buffer.push_unit(u16::from(b'x'));
        buffer.push_unit(0xdc00);
        buffer.append_document();
        assert_eq!(text(buffer), "é你a🙂\n\u{fffd}x\u{fffd}");
    }

    #[test]
    fn a_document_follows_the_others_or_replaces_them() {
        let mut buffer = TextBuffer::default();
        buffer.push(b"one");
        buffer.append_document();
        buffer.push(b" two");
        buffer.discard_document();
        buffer.push(b" three");
        buffer.append_document();
        assert_eq!(buffer.before, b"one three");
        buffer.push(b"one three four");
        buffer.replace_by_document();
        assert_eq!(text(buffer), "one three four");
    }

    #[test]
    fn no_more_is_stored_than_the_limit() {
        let mut buffer = TextBuffer::default();
        for _ in 0..3_000 {
            buffer.push(&[b'x'; 1_000]);
            buffer.append_document();
        }
        buffer.push_unit(u16::from(b'y'));
        buffer.append_document();
        assert!(buffer.retained() <= 4 * MAX_TEXT);
        let (text, delivered) = buffer.finish();
        assert_eq!(text.len(), MAX_TEXT);
        assert_eq!(delivered.tokens(), MAX_TEXT as u64 / 4);
    }
}
