use std::ops::Range;

use super::{
    hole::{Filling, Hole, Holes, Kind, number},
    json::Json,
    sketch::Outline,
};

/// The longest event that is kept as a pattern, or held until it is clear whether it is alike. Unit: bytes.
pub(super) const MAX_PATTERN: usize = 2 * 1024;

/// An event that was read in full.
///
/// The events of a stream are alike but for their text and some numbers. One that has the same bytes as the pattern
/// between its holes, and in them what may stand there, leads to the same places as the pattern did: only its text and
/// its usage count.
#[derive(Default)]
pub(super) struct Pattern {
    event: Vec<u8>,
    /// Positions are those in the event.
    outline: Outline,
    /// The holes that are text.
    texts: Holes,
    /// Whether the stream's numbers differ too. Where they do not, they are compared with what is around them.
    pub(super) numbers_differ: bool,
}

/// How far an event has been compared.
#[derive(Debug, Default, Clone)]
pub(super) struct Cursor {
    /// How many holes are behind.
    holes: usize,
    /// Where the last of them ends in the pattern.
    in_pattern: usize,
    /// And in the event.
    in_event: usize,
    /// Where the event states usage.
    usage: Range<usize>,
}

/// How an event compares with the pattern, by what has passed of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is alike, and so long. Unit: bytes.
    Whole(usize),
    /// It may be alike.
    Part,
    Unlike,
}

impl Pattern {
    /// Makes the event the pattern; its data, of this outline, begins there.
    pub(super) fn set(&mut self, event: &mut Vec<u8>, data: usize, outline: &Outline) {
        std::mem::swap(&mut self.event, event);
        let mine = &mut self.outline;
        mine.holes.clear();
        self.texts.clear();
        if let Some(number) = number_of_event(&self.event) {
            mine.holes.push(number.start, number.end, Kind::Number);
        }
        for hole in outline.holes.get().unwrap_or_default() {
            let (start, end) = (data + hole.start(), data + hole.end());
            mine.holes.push(start, end, hole.kind);
            if hole.kind == Kind::Text {
                self.texts.push(start, end, Kind::Text);
            }
        }
        let in_event = |usage: &Range<usize>| data + usage.start..data + usage.end;
        mine.usage = outline.usage.as_ref().map(in_event);
        mine.filled = outline.filled.map(|at| data + at);
    }

    /// Goes on with an event, of which all that has passed is given; each text is counted once it is whole.
    pub(super) fn compare(&self, cursor: &mut Cursor, event: &[u8], json: &mut Json) -> Compared {
        let holes = self.holes();
        if self.event.is_empty() {
            return Compared::Unlike;
        }
        loop {
            let hole = holes.get(cursor.holes);
            let until = hole.map_or(self.event.len(), |hole| hole.start());
            let literal = &self.event[cursor.in_pattern..until];
            let rest = &event[cursor.in_event..];
            let Some(rest) = rest.strip_prefix(literal) else {
                return if literal.starts_with(rest) {
                    Compared::Part
                } else {
                    Compared::Unlike
                };
            };
            self.look_for_usage(cursor, until);
            let begins = cursor.in_event + literal.len();
            let Some(hole) = hole else {
                return Compared::Whole(begins);
            };
            match hole.kind.fill(rest) {
                Filling::Fits { length, is_plain } => {
                    if hole.kind == Kind::Text {
                        json.pass_text(&rest[..length], is_plain);
                    }
                    cursor.holes += 1;
                    cursor.in_pattern = hole.end();
                    cursor.in_event = begins + length;
                }
                Filling::Cut => return Compared::Part,
                Filling::Unfit => return Compared::Unlike,
            }
        }
    }

    /// Where a whole event states usage.
    pub(super) fn usage(&self, cursor: &Cursor) -> Option<Range<usize>> {
        self.outline.usage.as_ref().map(|_| cursor.usage.clone())
    }

    /// Whether an event of which so much has passed may still be the extra one. Unit: bytes.
    pub(super) fn may_be_extra(&self, cursor: &Cursor, passed: usize) -> bool {
        let Some(filled) = self.outline.filled else {
            return true;
        };
        let holes = self.holes();
        let next = holes.get(cursor.holes).map(|hole| hole.start());
        // Up to there, and no further, the event is as long as the pattern.
        let is_near = next.is_none_or(|next| filled <= next);
        let has_passed = || passed - cursor.in_event > filled - cursor.in_pattern;
        filled >= cursor.in_pattern && !(is_near && has_passed())
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

    fn holes(&self) -> &[Hole] {
        let holes = if self.numbers_differ {
            &self.outline.holes
        } else {
            &self.texts
        };
        holes.get().unwrap_or_default()
    }

    /// Notes what of the usage lies between the last hole and here.
    fn look_for_usage(&self, cursor: &mut Cursor, until: usize) {
        let Some(usage) = &self.outline.usage else {
            return;
        };
        let passed = cursor.in_pattern..until;
        if passed.contains(&usage.start) {
            cursor.usage.start = cursor.in_event + (usage.start - passed.start);
        }
        if passed.contains(&(usage.end - 1)) {
            cursor.usage.end = cursor.in_event + (usage.end - passed.start);
        }
    }
}

/// The number of an event that begins with it.
fn number_of_event(event: &[u8]) -> Option<Range<usize>> {
    let number_line = event.strip_prefix(b"id:")?;
    let value = number_line.strip_prefix(b" ").unwrap_or(number_line);
    let start = event.len() - value.len();
    match number(value) {
        Filling::Fits { length, .. } => Some(start..start + length),
        _ => None,
    }
}
