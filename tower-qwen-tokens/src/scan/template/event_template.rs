use std::sync::Arc;

use crate::scan::{text::TextRule, usage_sum::UsagePlace};

use super::{
    content_sink::ContentSink,
    effect::Effect,
    free_members::FreeMembers,
    known_events::KnownEvents,
    learned::Learned,
    outline::Outline,
    pattern::{Cursor, MAX_PATTERN, Match, Pattern},
};

/// How many events in a row that no stream before has brought end the search among those: a host
/// whose events are all unlike must not have each of them compared with all.
const MAX_UNKNOWN: u32 = 8;

/// Compares the events of a stream with the last one that was read in full, across the pieces in
/// which they come.
#[derive(Default)]
pub(in crate::scan) struct EventTemplate {
    pattern: Pattern,
    /// What streams before this one have brought; `None` once that has not helped.
    known: Option<Known>,
    /// How many events in a row were none of those, nor like the last one.
    unknown: u32,
    /// Which of those is compared; `None`: the stream's own.
    active: Option<usize>,
    /// Which of them may come next: they are in the order in which a stream brings them.
    next: usize,
    cursor: Cursor,
    /// The bytes of the present event from earlier pieces, compared or read; one byte too many if
    /// it is too long.
    event: Vec<u8>,
    /// An event that has just been read in full.
    learned: Option<Learned>,
    /// Where the present event differs from the stream's own pattern.
    differs_at: Option<usize>,
    free: FreeMembers,
}

struct Known {
    patterns: Arc<[Arc<Pattern>]>,
    events: Arc<KnownEvents>,
    rule: TextRule,
}

impl EventTemplate {
    /// Shares what is learned with other streams of the same rule for text.
    pub(in crate::scan) fn share(&mut self, events: &Arc<KnownEvents>, rule: TextRule) {
        self.known = Some(Known {
            patterns: events.of(rule),
            events: Arc::clone(events),
            rule,
        });
    }

    /// Compares an event that begins here, or the next piece of one that matched so far.
    pub(in crate::scan) fn try_match<C: ContentSink>(
        &mut self,
        bytes: &[u8],
        content: &mut C,
    ) -> Match {
        let before = self.event.len();
        let found = if before == 0 {
            self.begin(bytes, content)
        } else {
            self.go_on(bytes, content)
        };
        if found == Match::Mismatch {
            self.event.truncate(before);
            content.discard_text();
        }
        if matches!(found, Match::Whole(_)) {
            self.unknown = 0;
        }
        found
    }

    fn begin<C: ContentSink>(&mut self, bytes: &[u8], content: &mut C) -> Match {
        let found = self.compare_with_all(bytes, content);
        if found == Match::Partial {
            // A text that is cut counts only once it is whole. The first text of an answer must
            // count as it comes, for the time to the first token, so its event is read in full.
            if bytes.len() > MAX_PATTERN || !content.has_text() {
                return Match::Mismatch;
            }
            self.record(bytes);
        }
        found
    }

    fn go_on<C: ContentSink>(&mut self, bytes: &[u8], content: &mut C) -> Match {
        let before = self.event.len();
        self.record(bytes);
        let event = std::mem::take(&mut self.event);
        let found = self.compare(&event, content);
        self.event = event;
        match found {
            Match::Partial if self.event.len() > MAX_PATTERN => Match::Mismatch,
            Match::Whole(length) => {
                self.event.clear();
                Match::Whole(length - before)
            }
            found => found,
        }
    }

    /// Compares an event that begins here with the stream's own pattern, then with the known ones.
    fn compare_with_all<C: ContentSink>(&mut self, bytes: &[u8], content: &mut C) -> Match {
        self.cursor = Cursor::default();
        self.active = None;
        self.differs_at = None;
        let mut found = self.compare(bytes, content);
        let count = self.known.as_ref().map_or(0, |known| known.patterns.len());
        for at in self.next..self.next + count {
            if found != Match::Mismatch {
                return found;
            }
            content.discard_text();
            self.cursor = Cursor::default();
            self.active = Some(at % count);
            found = self.compare(bytes, content);
        }
        found
    }

    /// Compares on, given all bytes of the event so far.
    fn compare<C: ContentSink>(&mut self, event: &[u8], content: &mut C) -> Match {
        if let Some(known) = active(self.known.as_ref(), self.active) {
            let found = known.compare(&mut self.cursor, event, content);
            if let Match::Whole(length) = found {
                self.next = self.active.map_or(0, |active| active + 1);
                end_matched(known.effect, &self.cursor, event, content);
                if known.effect == Effect::Text && content.has_text() {
                    self.pattern.adopt(&event[..length], known, &self.cursor);
                }
            }
            return found;
        }
        let mut found = self.pattern.compare(&mut self.cursor, event, content);
        if found == Match::Mismatch && !self.pattern.numbers_differ {
            // From the start once more, with numbers as placeholders. If that helps, it stays so
            // for the stream.
            content.discard_text();
            self.cursor = Cursor::default();
            self.pattern.numbers_differ = true;
            found = self.pattern.compare(&mut self.cursor, event, content);
            if found == Match::Mismatch {
                self.differs_at = self.pattern.differs_at(&self.cursor, event);
                self.pattern.numbers_differ = false;
            }
        } else if found == Match::Mismatch {
            self.differs_at = self.pattern.differs_at(&self.cursor, event);
        }
        if let Match::Whole(_) = found {
            if self.pattern.has_usage() {
                let Some((usage, place)) = self.pattern.usage(&self.cursor) else {
                    return Match::Mismatch;
                };
                content.take_usage(&event[usage], place);
            }
            end_matched(Effect::Text, &self.cursor, event, content);
        }
        found
    }

    /// Whether earlier pieces brought bytes of the present event.
    pub(in crate::scan) fn has_begun(&self) -> bool {
        !self.event.is_empty()
    }

    /// Returns the bytes of an event that matched so far, to be read in full instead.
    pub(in crate::scan) fn take_event<C: ContentSink>(&mut self, content: &mut C) -> Vec<u8> {
        content.discard_text();
        std::mem::take(&mut self.event)
    }

    /// Records a piece of an event that is read in full.
    pub(in crate::scan) fn record(&mut self, bytes: &[u8]) {
        let room = (MAX_PATTERN + 1).saturating_sub(self.event.len());
        self.event
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether an event that matched so far may still be one that states usage and has no answers.
    pub(in crate::scan) fn may_be_usage_only(&self) -> bool {
        active(self.known.as_ref(), self.active)
            .unwrap_or(&self.pattern)
            .may_be_usage_only(&self.cursor, self.event.len())
    }

    /// What the last event that matched does.
    pub(in crate::scan) fn effect(&self) -> Effect {
        let known = active(self.known.as_ref(), self.active);
        known.map_or(Effect::Text, |known| known.effect)
    }

    /// Takes the outline of the event that is read in full and about to end.
    pub(in crate::scan) fn learn(
        &mut self,
        data_start: usize,
        outline: &Outline,
        place: UsagePlace,
        effect: Effect,
    ) {
        let outline = outline.clone();
        self.learned = Some(Learned {
            data_start,
            outline,
            place,
            effect,
        });
    }

    /// Ends an event that was read in full, with its last piece.
    pub(in crate::scan) fn end_event(&mut self, bytes: &[u8]) {
        let learned = self.learned.take();
        self.record(bytes);
        self.unknown += 1;
        if self.unknown > MAX_UNKNOWN {
            self.known = None;
        }
        // Not one that ends with a carriage return: a line feed of the next piece may belong to it.
        if let Some(learned) = learned
            && self.event.len() <= MAX_PATTERN
            && self.event.ends_with(b"\n")
        {
            if let Some(at) = self
                .differs_at
                .and_then(|at| at.checked_sub(learned.data_start))
            {
                self.free.learn(&self.event[learned.data_start..], at);
            }
            self.offer(&learned);
            // Events without text are rare: to make one the template would only replace a better one.
            if learned.effect == Effect::Text && learned.outline.has_text() {
                self.pattern.set(&mut self.event, &learned, &self.free);
            }
        }
        self.event.clear();
    }

    /// Offers an event that was read in full to the streams to come.
    fn offer(&self, learned: &Learned) {
        // Of usage beside text, what may be zero depends on the event before.
        let is_of_stream = learned.outline.usage().is_some();
        if let Some(known) = &self.known
            && (!is_of_stream || learned.effect == Effect::UsageAlone)
        {
            known.events.offer(known.rule, &self.event, || {
                let mut pattern = Pattern::default();
                pattern.set(&mut self.event.clone(), learned, &self.free);
                pattern.numbers_differ = true;
                pattern
            });
        }
    }

    /// Drops the template, so that the next event is read in full.
    #[cfg(test)]
    pub(in crate::scan) fn reset(&mut self) {
        self.pattern.clear();
        self.active = None;
        self.known = None;
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(in crate::scan) fn retained(&self) -> usize {
        self.event.capacity() + self.pattern.retained()
    }
}

fn active(known: Option<&Known>, active: Option<usize>) -> Option<&Pattern> {
    known?.patterns.get(active?).map(|pattern| &**pattern)
}

/// Takes over what an event that matched does, its text and usage aside.
fn end_matched<C: ContentSink>(effect: Effect, cursor: &Cursor, event: &[u8], content: &mut C) {
    if let Some(model) = cursor.model.clone() {
        content.name_model(&event[model]);
    }
    content.end_event();
    match effect {
        Effect::Text | Effect::Done => {}
        Effect::Ends(answers) => content.end_answers(answers),
        Effect::UsageAlone => content.state_alone(&event[cursor.usage.clone()]),
    }
}
