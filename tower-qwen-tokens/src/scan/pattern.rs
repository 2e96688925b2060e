use std::ops::Range;

use memchr::memchr2;

/// The longest event that is kept as a pattern. Unit: bytes.
pub(super) const MAX_PATTERN: usize = 2 * 1024;

/// The last event that was read in full and brought one piece of text and nothing else.
///
/// The events of a stream are alike but for that piece. One that has the same bytes before it and behind it, and in
/// between nothing that ends the string or a line, leads to the same places as the one before: only its text counts.
#[derive(Default)]
pub(super) struct Pattern {
    event: Vec<u8>,
    text: Range<usize>,
    /// Where the event's data begins, while it is read.
    data: Data,
}

#[derive(Default)]
enum Data {
    #[default]
    None,
    /// In one piece.
    From(usize),
    Several,
    /// The event is over; its text stands here.
    Text(Range<usize>),
}

/// An event like the pattern.
pub(super) struct Like<'a> {
    /// Its text, as a string of JSON holds it.
    pub(super) text: &'a [u8],
    /// Whether the text holds no escapes.
    pub(super) is_plain: bool,
    /// Unit: bytes.
    pub(super) length: usize,
}

impl Pattern {
    /// An event that begins here and is like the pattern.
    pub(super) fn find<'a>(&self, bytes: &'a [u8]) -> Option<Like<'a>> {
        let (before, behind) = (
            self.event.get(..self.text.start)?,
            self.event.get(self.text.end..)?,
        );
        if behind.is_empty() {
            return None;
        }
        let rest = bytes.strip_prefix(before)?;
        let (end, is_plain) = end_of_string(rest)?;
        let (text, rest) = rest.split_at(end);
        let is_alike = rest.starts_with(behind) && !has_line_break(text);
        is_alike.then(|| Like {
            text,
            is_plain,
            length: before.len() + end + behind.len(),
        })
    }

    /// The data of an event goes on, so far from where the reading began.
    pub(super) fn data_begins(&mut self, at: usize) {
        self.data = match self.data {
            Data::None | Data::Text(_) => Data::From(at),
            Data::From(_) | Data::Several => Data::Several,
        };
    }

    /// The event is over; in its data the only text stands there.
    pub(super) fn document_ends(&mut self, text: Option<Range<usize>>) {
        self.data = match (&self.data, text) {
            (Data::From(at), Some(text)) => Data::Text(at + text.start..at + text.end),
            _ => Data::None,
        };
    }

    /// The event that is over, where it was read in one go.
    pub(super) fn keep(&mut self, event: &[u8]) {
        let Data::Text(text) = std::mem::take(&mut self.data) else {
            return;
        };
        // Not one that a carriage return ended: a line feed may follow.
        if event.len() <= MAX_PATTERN && event.ends_with(b"\n") {
            self.event.clear();
            self.event.extend_from_slice(event);
            self.text = text;
        }
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.event.capacity()
    }
}

/// Where the string closes that is open here, and whether it is without escapes.
fn end_of_string(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut is_plain = true;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((at, is_plain));
        }
        is_plain = false;
        at += if *bytes.get(at + 1)? == b'u' { 6 } else { 2 };
    }
}

fn has_line_break(text: &[u8]) -> bool {
    text.iter()
        .fold(false, |found, byte| found | matches!(byte, b'\n' | b'\r'))
}
