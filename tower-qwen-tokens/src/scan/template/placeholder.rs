use std::ops::Range;

use crate::scan::lexer::{self, Value};

/// The most placeholders of a template. Native events have up to eleven; the array is copied once an
/// event that is read.
pub(super) const MAX_PLACEHOLDERS: usize = 16;

/// A part in which a matching event may differ from the template. Unit: bytes from the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Placeholder {
    // Narrow, since a template has at most 2 KiB and many of these are copied.
    start: u16,
    end: u16,
    pub(super) kind: PlaceholderKind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) enum PlaceholderKind {
    /// The inside of a string that is text of the model.
    Text,
    /// A whole number from zero up.
    #[default]
    Number,
    /// The number of an answer. It must not differ if the event states usage: that is the answer's.
    Index,
    /// The inside of a string that means nothing, such as the name of the answer.
    Id,
    /// A number of any form, or a word, that means nothing.
    Bare,
    /// The inside of a string that is the model's name.
    Model,
}

/// The placeholders of one event, in their order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Placeholders {
    array: [Placeholder; MAX_PLACEHOLDERS],
    /// Larger than the array if there were too many, or one too far behind.
    count: usize,
}

impl Placeholder {
    pub(super) fn range(&self) -> Range<usize> {
        self.start.into()..self.end.into()
    }
}

impl PlaceholderKind {
    /// The value of this kind at the beginning of the bytes.
    pub(super) fn value(self, bytes: &[u8]) -> Value {
        match self {
            Self::Text | Self::Id => lexer::text(bytes),
            Self::Model => match lexer::text(bytes) {
                // Of escapes the JSON scanner knows which it may have.
                Value::Whole {
                    is_plain: false, ..
                } => Value::Invalid,
                value => value,
            },
            Self::Number | Self::Index => lexer::number(bytes),
            Self::Bare => lexer::bare(bytes),
        }
    }
}

impl Placeholders {
    pub(super) fn push(&mut self, part: Range<usize>, kind: PlaceholderKind) {
        let narrow = u16::try_from(part.start)
            .ok()
            .zip(u16::try_from(part.end).ok());
        match (narrow, self.array.get_mut(self.count)) {
            (Some((start, end)), Some(next)) => {
                *next = Placeholder { start, end, kind };
                self.count += 1;
            }
            _ => self.count = usize::MAX,
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All of them; `None` if there were too many.
    pub(super) fn get(&self) -> Option<&[Placeholder]> {
        self.array.get(..self.count)
    }
}
