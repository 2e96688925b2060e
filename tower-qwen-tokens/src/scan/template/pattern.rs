use std::ops::Range;

use crate::scan::{
    lexer::{Value, number},
    usage_sum::UsagePlace,
};

use super::{
    content_sink::ContentSink,
    effect::Effect,
    free_members::FreeMembers,
    learned::Learned,
    outline::Outline,
    placeholder::{Placeholder, PlaceholderKind, Placeholders},
};

/// The longest event that becomes a template, or is buffered while it is compared with one, in
/// bytes. Events of a piece of text have 200 to 500; longer ones are rare, and each of them is read
/// in full.
pub(in crate::scan) const MAX_PATTERN: usize = 2 * 1024;

/// The bytes of an event that was read in full, and its outline.
///
/// An event with equal bytes between the placeholders, and a value of the right kind in each, takes
/// the JSON scanner to the same positions: only its text and its usage count.
#[derive(Default)]
pub(super) struct Pattern {
    event: Vec<u8>,
    /// Positions are those in the event.
    outline: Outline,
    /// The placeholders that are text.
    texts: Placeholders,
    pub(super) effect: Effect,
    /// Of what the usage object is stated.
    place: UsagePlace,
    /// The placeholders outside of the usage object, a bit for each.
    outside_usage: u32,
    /// Those that may be zero: they were so in the last event, or lie outside.
    may_be_zero: u32,
    /// Whether numbers may differ too. Off until it is needed: equal numbers are compared faster
    /// than read.
    pub(super) numbers_differ: bool,
}

/// How far an event has been compared.
#[derive(Debug, Default, Clone)]
pub(super) struct Cursor {
    /// The number of placeholders before this point.
    placeholders: usize,
    /// The end of the last of them in the pattern.
    in_pattern: usize,
    /// And in the event.
    in_event: usize,
    /// The usage object of the event.
    pub(super) usage: Range<usize>,
    /// Its model's name.
    pub(super) model: Option<Range<usize>>,
    /// Its placeholders, and where its answers begin. Only if all that may differ was a placeholder.
    parts: Placeholders,
    first_choice: Option<usize>,
    /// The placeholders that are zero, a bit for each.
    zeros: u32,
}

/// How an event compares with the template, by the bytes that have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scan) enum Match {
    /// It matches, and ends after so many bytes.
    Whole(usize),
    /// The bytes match as far as they go.
    Partial,
    Mismatch,
}

impl Pattern {
    /// Makes this event the pattern. Its data has this outline and begins at `data_start`. The values of the free members may differ.
    pub(super) fn set(&mut self, event: &mut Vec<u8>, learned: &Learned, free: &FreeMembers) {
        let &Learned {
            data_start,
            ref outline,
            place,
            effect,
        } = learned;
        // Swapped rather than copied: the old pattern's allocation buffers the next event.
        std::mem::swap(&mut self.event, event);
        let in_event = |part: &Range<usize>| data_start + part.start..data_start + part.end;
        let mine = &mut self.outline;
        mine.placeholders.clear();
        self.texts.clear();
        if let Some(id) = id_number(&self.event) {
            mine.placeholders.push(id, PlaceholderKind::Number);
        }
        mine.usage = outline.usage.as_ref().map(in_event);
        // Usage is read as it stands: what may differ in it is found by the scan alone.
        let usage = mine.usage.clone();
        let is_usage =
            |part: &Range<usize>| usage.as_ref().is_some_and(|it| it.contains(&part.start));
        let data = &self.event[data_start..];
        let mut covered = 0;
        let mut free = free
            .values(data)
            .map(|(part, kind)| (in_event(&part), kind))
            .filter(|(part, _)| !is_usage(part))
            .peekable();
        for placeholder in outline.placeholders.get().unwrap_or_default() {
            let part = in_event(&placeholder.range());
            while let Some((free, kind)) = free.next_if(|(free, _)| free.start <= part.start) {
                covered = free.end;
                mine.placeholders.push(free, kind);
            }
            if part.start < covered {
                continue;
            }
            match placeholder.kind {
                PlaceholderKind::Index if mine.usage.is_some() || effect != Effect::Text => {
                    continue;
                }
                PlaceholderKind::Text => self.texts.push(part.clone(), PlaceholderKind::Text),
                _ => {}
            }
            mine.placeholders.push(part, placeholder.kind);
        }
        for (part, kind) in free {
            mine.placeholders.push(part, kind);
        }
        mine.first_choice = outline.first_choice.map(|at| data_start + at);
        (self.place, self.effect) = (place, effect);
        (self.outside_usage, self.may_be_zero) = (u32::MAX, u32::MAX);
        if let Some(usage) = &mine.usage {
            for (at, placeholder) in (0..).zip(mine.placeholders.get().unwrap_or_default()) {
                let start = placeholder.range().start;
                self.outside_usage ^= u32::from(usage.contains(&start)) << at;
                self.may_be_zero ^= u32::from(self.event.get(start) != Some(&b'0')) << at;
            }
            self.may_be_zero |= self.outside_usage;
        }
    }

    /// Makes an event that matched another pattern, one without usage, this one: with its own bytes
    /// where streams differ, which are compared faster than read.
    pub(super) fn adopt(&mut self, event: &[u8], other: &Self, cursor: &Cursor) {
        // Not where a number comes first among the answers: its place was not found.
        let has_choice = cursor.first_choice.is_some();
        if has_choice != other.outline.first_choice.is_some() || other.texts.is_empty() {
            return;
        }
        self.event.clear();
        self.event.extend_from_slice(event);
        self.outline.placeholders = cursor.parts;
        self.outline.usage = None;
        self.outline.first_choice = cursor.first_choice;
        self.texts.clear();
        for part in cursor.parts.get().unwrap_or_default() {
            if part.kind == PlaceholderKind::Text {
                self.texts.push(part.range(), PlaceholderKind::Text);
            }
        }
        (self.place, self.effect) = (other.place, other.effect);
        (self.outside_usage, self.may_be_zero) = (u32::MAX, u32::MAX);
        self.numbers_differ = false;
    }

    /// Compares on, given all bytes of the event so far. Each text is counted once it is whole.
    pub(super) fn compare<C: ContentSink>(
        &self,
        cursor: &mut Cursor,
        event: &[u8],
        content: &mut C,
    ) -> Match {
        let placeholders = self.placeholders();
        if self.event.is_empty() {
            return Match::Mismatch;
        }
        loop {
            let placeholder = placeholders.get(cursor.placeholders);
            let until = placeholder.map_or(self.event.len(), |next| next.range().start);
            let literal = &self.event[cursor.in_pattern..until];
            let rest = &event[cursor.in_event..];
            let Some(rest) = rest.strip_prefix(literal) else {
                return if literal.starts_with(rest) {
                    Match::Partial
                } else {
                    Match::Mismatch
                };
            };
            self.find_usage(cursor, until);
            self.find_first_choice(cursor, until);
            let start = cursor.in_event + literal.len();
            let Some(placeholder) = placeholder else {
                return Match::Whole(start);
            };
            match placeholder.kind.value(rest) {
                Value::Whole { length, is_plain } => {
                    match placeholder.kind {
                        PlaceholderKind::Text => content.add_text(&rest[..length], is_plain),
                        PlaceholderKind::Model => cursor.model = Some(start..start + length),
                        PlaceholderKind::Id | PlaceholderKind::Bare => {}
                        PlaceholderKind::Number | PlaceholderKind::Index => {
                            let is_zero = length == 1 && rest[0] == b'0';
                            cursor.zeros |= u32::from(is_zero) << cursor.placeholders;
                        }
                    }
                    if self.numbers_differ {
                        cursor.parts.push(start..start + length, placeholder.kind);
                    }
                    cursor.placeholders += 1;
                    cursor.in_pattern = placeholder.range().end;
                    cursor.in_event = start + length;
                }
                Value::Cut => return Match::Partial,
                Value::Invalid => return Match::Mismatch,
            }
        }
    }

    /// Where an event that does not match differs first; `None` where there is nothing to compare with.
    pub(super) fn differs_at(&self, cursor: &Cursor, event: &[u8]) -> Option<usize> {
        let placeholder = self.placeholders().get(cursor.placeholders);
        let until = placeholder.map_or(self.event.len(), |next| next.range().start);
        let literal = self.event.get(cursor.in_pattern..until)?;
        let pairs = literal.iter().zip(&event[cursor.in_event..]);
        Some(cursor.in_event + pairs.take_while(|(ours, theirs)| ours == theirs).count())
    }

    pub(super) fn has_usage(&self) -> bool {
        self.outline.usage.is_some()
    }

    /// The usage object of an event that matched, and of what it is stated; `None` if a figure of the
    /// last event is zero now. A zero replaces no figure, so then both must be read.
    pub(super) fn usage(&mut self, cursor: &Cursor) -> Option<(Range<usize>, UsagePlace)> {
        if self.numbers_differ {
            if cursor.zeros & !self.may_be_zero != 0 {
                return None;
            }
            self.may_be_zero = cursor.zeros | self.outside_usage;
        }
        Some((cursor.usage.clone(), self.place))
    }

    /// Whether an event that matches so far, `length` bytes of it, may still be one that states
    /// usage alone.
    pub(super) fn may_be_usage_only(&self, cursor: &Cursor, length: usize) -> bool {
        let Some(first_choice) = self.outline.first_choice else {
            return true;
        };
        let placeholders = self.placeholders();
        let next = placeholders
            .get(cursor.placeholders)
            .map(|next| next.range().start);
        // Up to the next placeholder, and no further, positions in the event follow from those in
        // the pattern.
        let is_near = next.is_none_or(|next| first_choice <= next);
        let has_come = || length - cursor.in_event > first_choice - cursor.in_pattern;
        first_choice >= cursor.in_pattern && !(is_near && has_come())
    }

    /// Leaves nothing to compare with.
    #[cfg(test)]
    pub(super) fn clear(&mut self) {
        self.event.clear();
    }

    /// The memory that its buffer holds.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.event.capacity()
    }

    fn placeholders(&self) -> &[Placeholder] {
        let placeholders = if self.numbers_differ {
            &self.outline.placeholders
        } else {
            &self.texts
        };
        placeholders.get().unwrap_or_default()
    }

    /// Finds where the answers begin, if that lies between the last placeholder and `until`.
    fn find_first_choice(&self, cursor: &mut Cursor, until: usize) {
        if let Some(first) = self.outline.first_choice
            && (cursor.in_pattern..until).contains(&first)
        {
            cursor.first_choice = Some(cursor.in_event + (first - cursor.in_pattern));
        }
    }

    /// Finds the ends of the usage object that lie between the last placeholder and `until`.
    fn find_usage(&self, cursor: &mut Cursor, until: usize) {
        let Some(usage) = &self.outline.usage else {
            return;
        };
        let literal = cursor.in_pattern..until;
        if literal.contains(&usage.start) {
            cursor.usage.start = cursor.in_event + (usage.start - literal.start);
        }
        if literal.contains(&(usage.end - 1)) {
            cursor.usage.end = cursor.in_event + (usage.end - literal.start);
        }
    }
}

/// The digits of the `id:` line with which the events of native streams begin: the one number
/// outside of the data.
fn id_number(event: &[u8]) -> Option<Range<usize>> {
    let number_line = event.strip_prefix(b"id:")?;
    let value = number_line.strip_prefix(b" ").unwrap_or(number_line);
    let start = event.len() - value.len();
    match number(value) {
        Value::Whole { length, .. } => Some(start..start + length),
        _ => None,
    }
}
