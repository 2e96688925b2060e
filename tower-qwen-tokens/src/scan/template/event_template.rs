use crate::scan::usage_sum::UsagePlace;

use super::{
    content_sink::ContentSink,
    outline::Outline,
    pattern::{Cursor, MAX_PATTERN, Match, Pattern},
};

/// Compares the events of a stream with the last one that was read in full, across the pieces in
/// which they come.
#[derive(Default)]
pub(in crate::scan) struct EventTemplate {
    pattern: Pattern,
    cursor: Cursor,
    /// The bytes of the present event from earlier pieces, compared or read; one byte too many if
    /// it is too long.
    event: Vec<u8>,
    /// Of an event that has just been read in full: where its data begins, the outline of that, and
    /// of what its usage is stated.
    learned: Option<(usize, Outline, UsagePlace)>,
}

impl EventTemplate {
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
        found
    }

    fn begin<C: ContentSink>(&mut self, bytes: &[u8], content: &mut C) -> Match {
        self.cursor = Cursor::default();
        let found = self.compare(bytes, content);
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

    /// Compares on, given all bytes of the event so far.
    fn compare<C: ContentSink>(&mut self, event: &[u8], content: &mut C) -> Match {
        let mut found = self.pattern.compare(&mut self.cursor, event, content);
        if found == Match::Mismatch && !self.pattern.numbers_differ {
            // From the start once more, with numbers as placeholders. If that helps, it stays so
            // for the stream.
            content.discard_text();
            self.cursor = Cursor::default();
            self.pattern.numbers_differ = true;
            found = self.pattern.compare(&mut self.cursor, event, content);
            self.pattern.numbers_differ = found != Match::Mismatch;
        }
        if let Match::Whole(_) = found {
            if self.pattern.has_usage() {
                let Some((usage, place)) = self.pattern.usage(&self.cursor) else {
                    return Match::Mismatch;
                };
                content.take_usage(&event[usage], place);
            }
            content.end_event();
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
        self.pattern
            .may_be_usage_only(&self.cursor, self.event.len())
    }

    /// Takes the outline of the event that is read in full and about to end.
    pub(in crate::scan) fn learn(
        &mut self,
        data_start: usize,
        outline: &Outline,
        place: UsagePlace,
    ) {
        self.learned = Some((data_start, outline.clone(), place));
    }

    /// Ends an event that was read in full, with its last piece.
    pub(in crate::scan) fn end_event(&mut self, bytes: &[u8]) {
        let learned = self.learned.take();
        self.record(bytes);
        // Not one that ends with a carriage return: a line feed of the next piece may belong to it.
        if let Some((data_start, outline, place)) = learned
            && self.event.len() <= MAX_PATTERN
            && self.event.ends_with(b"\n")
        {
            self.pattern
                .set(&mut self.event, data_start, &outline, place);
        }
        self.event.clear();
    }

    /// Drops the template, so that the next event is read in full.
    #[cfg(test)]
    pub(in crate::scan) fn reset(&mut self) {
        self.pattern.clear();
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(in crate::scan) fn retained(&self) -> usize {
        self.event.capacity() + self.pattern.retained()
    }
}
