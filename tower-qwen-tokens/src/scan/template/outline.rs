use std::ops::Range;

use super::placeholder::{PlaceholderKind, Placeholders};

/// Records the outline of one document while it is scanned, and whether it is the event that states
/// usage alone.
#[derive(Default)]
pub(in crate::scan) struct OutlineRecorder {
    choices: Choices,
    /// Whether the document has a usage object at its top level.
    has_usage: bool,
    outline: Outline,
    open: Open,
    /// Where the last string begins that may be a placeholder and is no text.
    string: usize,
    /// Whether it has a shape that the template cannot describe.
    is_irregular: bool,
}

/// The positions of the parts that matter in a document, or in an event. Unit: bytes from the
/// beginning.
#[derive(Default, Clone)]
pub(in crate::scan) struct Outline {
    pub(super) placeholders: Placeholders,
    /// The usage object.
    pub(super) usage: Option<Range<usize>>,
    /// The first byte which shows that there are answers, so that the event does not state usage
    /// alone.
    pub(super) first_choice: Option<usize>,
}

/// The list of answers.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Choices {
    #[default]
    Missing,
    /// The bracket is open and nothing has followed yet.
    Opened,
    Empty,
    /// Not empty, or no list.
    Present,
}

/// What has begun and not ended.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text(usize),
    Usage(usize),
}

impl OutlineRecorder {
    pub(in crate::scan) fn clear(&mut self) {
        self.choices = Choices::Missing;
        self.has_usage = false;
        self.outline.placeholders.clear();
        self.outline.usage = None;
        self.outline.first_choice = None;
        self.open = Open::Nothing;
        self.is_irregular = false;
    }

    /// Whether the next byte that is no space shows if there are answers.
    pub(in crate::scan) fn awaits_choices(&self) -> bool {
        self.choices == Choices::Opened
    }

    pub(in crate::scan) fn continue_choices(&mut self, byte: u8, at: usize) {
        if byte == b']' {
            self.choices = Choices::Empty;
        } else if !byte.is_ascii_whitespace() {
            self.add_choice(at);
        }
    }

    pub(in crate::scan) fn begin_choices(&mut self, byte: u8, at: usize) {
        if byte == b'[' && self.choices == Choices::Missing {
            self.choices = Choices::Opened;
        } else {
            // A second list, or no list: not what a host sends for usage alone.
            self.add_choice(at);
        }
    }

    fn add_choice(&mut self, at: usize) {
        self.choices = Choices::Present;
        self.outline.first_choice.get_or_insert(at);
    }

    pub(in crate::scan) fn begin_usage(&mut self, depth: u32, at: usize) {
        self.has_usage |= depth == 1;
        // The template has room for one usage object.
        self.is_irregular |= self.outline.usage.is_some();
        self.open = Open::Usage(at);
    }

    pub(in crate::scan) fn end_usage(&mut self, at: usize) {
        if let Open::Usage(from) = std::mem::take(&mut self.open) {
            self.outline.usage = Some(from..at);
        }
    }

    pub(in crate::scan) fn begin_text(&mut self, at: usize) {
        if self.open == Open::Nothing {
            self.open = Open::Text(at);
        } else {
            // A text within usage: with another text there, it may be no JSON any more.
            self.is_irregular = true;
        }
    }

    pub(in crate::scan) fn end_text(&mut self, at: usize) {
        if let Open::Text(start) = self.open {
            self.open = Open::Nothing;
            let text = start..at;
            self.outline.placeholders.push(text, PlaceholderKind::Text);
        }
    }

    pub(in crate::scan) fn begin_string(&mut self, at: usize) {
        self.string = at;
    }

    pub(in crate::scan) fn end_string(&mut self, at: usize, kind: PlaceholderKind) {
        let placeholders = &mut self.outline.placeholders;
        // With two names of models, which of them counts depends on what they are.
        let is_second = || {
            let mut known = placeholders.get().unwrap_or_default().iter();
            known.any(|it| it.kind == PlaceholderKind::Model)
        };
        self.is_irregular |= kind == PlaceholderKind::Model && is_second();
        placeholders.push(self.string..at, kind);
    }

    pub(in crate::scan) fn number(&mut self, number: Range<usize>, kind: PlaceholderKind) {
        self.outline.placeholders.push(number, kind);
    }

    /// The document is none that the template can describe.
    pub(in crate::scan) fn reject(&mut self) {
        self.is_irregular = true;
    }

    /// Whether there are answers in the document's list of them; `None` without such a list.
    pub(in crate::scan) fn has_choices(&self) -> Option<bool> {
        match self.choices {
            Choices::Missing => None,
            Choices::Opened | Choices::Empty => Some(false),
            Choices::Present => Some(true),
        }
    }

    /// Whether what came so far of the document states usage and has no answers.
    pub(in crate::scan) fn is_usage_only(&self) -> bool {
        self.choices == Choices::Empty && self.has_usage
    }

    /// Whether the rest of the document may make it one that states usage and has no answers.
    pub(in crate::scan) fn may_be_usage_only(&self) -> bool {
        self.choices != Choices::Present
    }

    /// The outline, if the document can be a template.
    pub(in crate::scan) fn outline(&self) -> Option<&Outline> {
        self.outline.placeholders.get()?;
        (!self.is_irregular).then_some(&self.outline)
    }
}

impl Outline {
    pub(in crate::scan) fn usage(&self) -> Option<&Range<usize>> {
        self.usage.as_ref()
    }

    pub(super) fn has_text(&self) -> bool {
        let mut placeholders = self.placeholders.get().unwrap_or_default().iter();
        placeholders.any(|it| it.kind == PlaceholderKind::Text)
    }
}
