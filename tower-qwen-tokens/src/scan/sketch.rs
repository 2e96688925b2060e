use std::ops::Range;

/// The outline of one document, as far as it decides whether the event is the extra one and whether others are like it.
#[derive(Default)]
pub(super) struct Sketch {
    choices: Choices,
    /// Whether it has a usage object of its own.
    has_usage: bool,
    /// Whether it has one anywhere.
    has_any_usage: bool,
    text: Piece,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Choices {
    #[default]
    Unseen,
    /// The bracket is open and nothing has followed yet.
    Opened,
    Empty,
    /// Not empty, or no list.
    Filled,
}

/// Text of the model within the document. Unit: bytes.
#[derive(Default, Clone, Copy)]
enum Piece {
    #[default]
    None,
    Open(usize),
    One(usize, usize),
    Several,
}

impl Sketch {
    /// Looks at a byte between strings.
    pub(super) fn see(&mut self, byte: u8) {
        if self.choices == Choices::Opened && !byte.is_ascii_whitespace() {
            self.choices = if byte == b']' {
                Choices::Empty
            } else {
                Choices::Filled
            };
        }
    }

    pub(super) fn choices_begin(&mut self, byte: u8) {
        self.choices = if byte == b'[' && self.choices == Choices::Unseen {
            Choices::Opened
        } else {
            Choices::Filled
        };
    }

    pub(super) fn usage_begins(&mut self, depth: u32) {
        self.has_usage |= depth == 1;
        self.has_any_usage = true;
    }

    pub(super) fn text_begins(&mut self, at: usize) {
        self.text = match self.text {
            Piece::None => Piece::Open(at),
            _ => Piece::Several,
        };
    }

    pub(super) fn text_ends(&mut self, at: usize) {
        if let Piece::Open(from) = self.text {
            self.text = Piece::One(from, at);
        }
    }

    /// Whether it states usage and no answers, by what has passed of it.
    pub(super) fn is_extra(&self) -> bool {
        self.choices == Choices::Empty && self.has_usage
    }

    /// Whether what follows may still make it so.
    pub(super) fn may_be_extra(&self) -> bool {
        self.choices != Choices::Filled
    }

    /// Where its one piece of text stands; `None` where it brings none, several or usage.
    pub(super) fn only_text(&self) -> Option<Range<usize>> {
        match self.text {
            Piece::One(from, to) if !self.has_any_usage => Some(from..to),
            _ => None,
        }
    }
}
