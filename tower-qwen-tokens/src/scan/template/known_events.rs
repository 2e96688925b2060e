use std::{
    fmt,
    sync::{Arc, Mutex},
};

use crate::{
    scan::{
        text::TextRule,
        usage_sum::{Answers, UsagePlace},
    },
    shared::lock,
};

use super::{
    content_sink::ContentSink,
    pattern::{Cursor, Match, Pattern},
};

/// How many events are known at most, a bound for memory and for comparing. A host has some four:
/// the first one, one with text, the end of an answer, the usage.
const MAX_KNOWN: usize = 8;
/// Of how many further ones, once there are so many, one takes the place of the oldest: streams whose
/// events are all unlike must not copy each of them.
const RARELY: u32 = 64;

/// Patterns of events that streams have brought, for the streams after them.
///
/// A pattern is compared byte by byte, and so never makes an event another one than it is.
#[derive(Default)]
pub(crate) struct KnownEvents {
    /// By the rule for text, which says what strings are.
    by_rule: [Mutex<Slot>; 3],
}

#[derive(Default)]
struct Slot {
    patterns: Arc<[Arc<Pattern>]>,
    /// How many were not taken since the last one that was.
    skipped: u32,
}

impl KnownEvents {
    pub(super) fn of(&self, rule: TextRule) -> Arc<[Arc<Pattern>]> {
        Arc::clone(&lock(&self.by_rule[rule as usize]).patterns)
    }

    /// Takes over the pattern of an event, unless there is one that it matches.
    pub(super) fn offer(&self, rule: TextRule, event: &[u8], make: impl FnOnce() -> Pattern) {
        let mut slot = lock(&self.by_rule[rule as usize]);
        let is_known = |known: &Arc<Pattern>| {
            known.compare(&mut Cursor::default(), event, &mut Nothing) == Match::Whole(event.len())
        };
        if slot.patterns.iter().any(is_known) {
            return;
        }
        let is_full = slot.patterns.len() >= MAX_KNOWN;
        if is_full && slot.skipped < RARELY {
            slot.skipped += 1;
            return;
        }
        slot.skipped = 0;
        let others = slot.patterns.iter().skip(usize::from(is_full)).cloned();
        slot.patterns = others.chain([Arc::new(make())]).collect();
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let count = |slot: &Mutex<Slot>| lock(slot).patterns.len();
        self.by_rule.iter().map(count).sum()
    }
}

/// Receives what nobody wants to know.
struct Nothing;

impl ContentSink for Nothing {
    fn has_text(&self) -> bool {
        false
    }

    fn add_text(&mut self, _: &[u8], _: bool) {}

    fn discard_text(&mut self) {}

    fn take_usage(&mut self, _: &[u8], _: UsagePlace) {}

    fn name_model(&mut self, _: &[u8]) {}

    fn end_event(&mut self) {}

    fn end_answers(&mut self, _: Answers) {}

    fn state_alone(&mut self, _: &[u8]) {}
}

impl fmt::Debug for KnownEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownEvents")
    }
}
