use std::ops::Range;

use super::hole::{Holes, Kind};

/// The outline of one document, as far as it decides whether the event is the extra one and whether others are like it.
#[derive(Default)]
pub(super) struct Sketch {
    choices: Choices,
    /// Whether it has a usage object of its own.
    has_usage: bool,
    outline: Outline,
    open: Open,
    /// Whether it is of a shape with which none is compared.
    is_odd: bool,
}

/// Where things stand in a document, or in an event. Unit: bytes from the beginning.
#[derive(Default, Clone)]
pub(super) struct Outline {
    pub(super) holes: Holes,
    /// The usage object.
    pub(super) usage: Option<Range<usize>>,
    /// What rules out that the event is the extra one.
    pub(super) filled: Option<usize>,
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

/// What has begun.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text(usize),
    Usage(usize),
}

impl Sketch {
    pub(super) fn clear(&mut self) {
        self.choices = Choices::Unseen;
        self.has_usage = false;
        self.outline.holes.clear();
        self.outline.usage = None;
        self.outline.filled = None;
        self.open = Open::Nothing;
        self.is_odd = false;
    }

    /// Whether the next byte that is no space tells whether there are answers.
    pub(super) fn awaits_choices(&self) -> bool {
        self.choices == Choices::Opened
    }

    pub(super) fn choices_go_on(&mut self, byte: u8, at: usize) {
        if byte == b']' {
            self.choices = Choices::Empty;
        } else if !byte.is_ascii_whitespace() {
            self.fill(at);
        }
    }

    pub(super) fn choices_begin(&mut self, byte: u8, at: usize) {
        if byte == b'[' && self.choices == Choices::Unseen {
            self.choices = Choices::Opened;
        } else {
            self.fill(at);
        }
    }

    fn fill(&mut self, at: usize) {
        self.choices = Choices::Filled;
        self.outline.filled.get_or_insert(at);
    }

    pub(super) fn usage_begins(&mut self, depth: u32, at: usize) {
        self.has_usage |= depth == 1;
        self.is_odd |= self.outline.usage.is_some();
        self.open = Open::Usage(at);
    }

    pub(super) fn usage_ends(&mut self, at: usize) {
        if let Open::Usage(from) = std::mem::take(&mut self.open) {
            self.outline.usage = Some(from..at);
        }
    }

    pub(super) fn text_begins(&mut self, at: usize) {
        if self.open == Open::Nothing {
            self.open = Open::Text(at);
        } else {
            // With another text, usage may be no JSON any more.
            self.is_odd = true;
        }
    }

    pub(super) fn text_ends(&mut self, at: usize) {
        if let Open::Text(start) = self.open {
            self.open = Open::Nothing;
            self.outline.holes.push(start, at, Kind::Text);
        }
    }

    pub(super) fn number(&mut self, start: usize, end: usize) {
        self.outline.holes.push(start, end, Kind::Number);
    }

    /// Whether it states usage and no answers, by what has passed of it.
    pub(super) fn is_extra(&self) -> bool {
        self.choices == Choices::Empty && self.has_usage
    }

    /// Whether what follows may still make it so.
    pub(super) fn may_be_extra(&self) -> bool {
        self.choices != Choices::Filled
    }

    /// Where things stand in it, if others may be like it: it brings text, and nothing that has to be read in full.
    pub(super) fn outline(&self) -> Option<&Outline> {
        let holes = self.outline.holes.get()?;
        let has_text = holes.iter().any(|hole| hole.kind == Kind::Text);
        (has_text && !self.is_odd && !self.is_extra()).then_some(&self.outline)
    }
}
