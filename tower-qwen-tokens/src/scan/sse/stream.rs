use std::sync::Arc;

use crate::{
    Verdict,
    scan::{
        json::{EventContext, Json},
        short_bytes::ShortBytes,
        template::{Effect, EventTemplate, KnownEvents, Match},
    },
};

use super::{
    line::{Data, Line, MAX_SHORT},
    progress::{EventKind, EventProgress},
};

/// The data of the event with which compatible hosts end a stream: a stream without it was cut.
const DONE: &[u8] = b"[DONE]";

/// Scans a stream of server-sent events: removes the framing and passes each event's data on as it
/// comes.
#[derive(Default)]
pub(in crate::scan) struct Sse {
    pub(in crate::scan) json: Json,
    pub(super) line: Line,
    /// The name of the line's field, or a value that is compared with short ones.
    pub(super) short: ShortBytes<MAX_SHORT>,
    pub(super) after_carriage_return: bool,
    /// How many bytes of a byte order mark have come; `None` once another byte has.
    pub(super) mark: Option<usize>,
    pub(super) context: EventContext,
    pub(super) data: Data,
    /// Whether the event has JSON where a field should stand.
    pub(super) is_bare: bool,
    /// How much of the present event has been read in full; zero while it is only compared. Unit:
    /// bytes.
    pub(super) length: usize,
    /// What the event was that has just ended; `read` takes it out.
    ended: Option<EventKind>,
    pub(in crate::scan) template: EventTemplate,
    /// The first error among the events that have ended.
    pub(in crate::scan) verdict: Option<Verdict>,
    done: bool,
}

impl Sse {
    pub(in crate::scan) fn new(json: Json) -> Self {
        Self {
            json,
            mark: Some(0),
            ..Self::default()
        }
    }

    /// Shares what is learned of events with other streams.
    pub(in crate::scan) fn share(&mut self, known: &Arc<KnownEvents>) {
        self.template.share(known, self.json.text.rule());
    }

    pub(in crate::scan) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.push_event(rest).0..];
        }
    }

    /// Reads on to the end of an event, or of the bytes; returns how many it took.
    pub(in crate::scan) fn push_event(&mut self, bytes: &[u8]) -> (usize, EventProgress) {
        let mark = self.skip_mark(bytes);
        if mark > 0 {
            return (mark, EventProgress::Between);
        }
        if bytes.is_empty() {
            return (0, EventProgress::Partial);
        }
        if self.length == 0 {
            if self.after_carriage_return && !self.template.has_begun() && bytes[0] == b'\n' {
                self.after_carriage_return = false;
                return (1, EventProgress::Between);
            }
            match self.template.try_match(bytes, &mut self.json) {
                Match::Whole(taken) => {
                    self.after_carriage_return = false;
                    let kind = match self.template.effect() {
                        Effect::UsageAlone => EventKind::UsageOnly,
                        Effect::Done => {
                            self.done = true;
                            EventKind::Other
                        }
                        Effect::Text | Effect::Ends(_) => EventKind::Other,
                    };
                    return (taken, EventProgress::Ended(kind));
                }
                Match::Partial => return (bytes.len(), EventProgress::Partial),
                Match::Mismatch => {
                    // The earlier pieces may hold the end of an event that the template runs past.
                    if let Some(kind) = self.read_compared() {
                        return (0, EventProgress::Ended(kind));
                    }
                }
            }
        }
        self.read(bytes)
    }

    /// Whether the event that has begun states usage alone if it ends here.
    pub(in crate::scan) fn is_usage_only(&mut self) -> bool {
        self.read_compared();
        self.is_usage_only_so_far()
    }

    fn is_usage_only_so_far(&self) -> bool {
        let is_ordinary = self.json.is_ordinary() && !self.context.is_error && !self.is_bare;
        self.json.outline.is_usage_only() && is_ordinary
    }

    /// Whether the event that has begun may become one that states usage alone.
    pub(in crate::scan) fn may_be_usage_only(&self) -> bool {
        if self.length == 0 && self.template.has_begun() {
            return self.template.may_be_usage_only();
        }
        let is_special = self.json.is_special() || self.context.is_error || self.is_bare;
        self.json.outline.may_be_usage_only() && !is_special
    }

    /// Ends the stream; an event that no blank line has closed counts as well.
    pub(in crate::scan) fn finish(mut self) -> (Json, Option<Verdict>, bool) {
        self.read_compared();
        if self.line != Line::Field || !self.short.is_empty() {
            self.end_line();
        }
        self.end_event();
        (self.json, self.verdict, self.done)
    }

    /// Reads on in full, without the template.
    fn read(&mut self, bytes: &[u8]) -> (usize, EventProgress) {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]);
            if let Some(kind) = self.ended.take() {
                if self.after_carriage_return && bytes.get(at) == Some(&b'\n') {
                    self.after_carriage_return = false;
                    at += 1;
                }
                self.template.end_event(&bytes[..at]);
                self.length = 0;
                return (at, EventProgress::Ended(kind));
            }
        }
        self.template.record(bytes);
        (at, EventProgress::Partial)
    }

    /// Reads in full the part of the present event that has only been compared; returns its kind if
    /// it ended there.
    fn read_compared(&mut self) -> Option<EventKind> {
        if self.length > 0 || !self.template.has_begun() {
            return None;
        }
        let event = self.template.take_event(&mut self.json);
        match self.read(&event).1 {
            EventProgress::Ended(kind) => Some(kind),
            EventProgress::Between | EventProgress::Partial => None,
        }
    }

    pub(super) fn end_event(&mut self) {
        let is_done = self.json.head.trim_ascii() == DONE;
        if let Data::Line(at) = self.data
            && !self.context.is_error
            && !self.is_bare
            && let Some((outline, effect)) = self.json.outline()
        {
            let place = self.json.usage_place();
            let effect = if is_done { Effect::Done } else { effect };
            self.template.learn(at, outline, place, effect);
        }
        self.ended = Some(if self.is_usage_only_so_far() {
            EventKind::UsageOnly
        } else {
            EventKind::Other
        });
        self.done |= is_done;
        let context = std::mem::take(&mut self.context);
        let data = std::mem::take(&mut self.data);
        // An event without data is none (the WHATWG's rule), unless it is called an error.
        if data != Data::None || context.is_error {
            let has_lines = data == Data::Lines;
            if self.verdict.is_none() {
                self.verdict = self.json.classify(context, has_lines || self.is_bare);
            }
            self.json.is_bare = std::mem::take(&mut self.is_bare) && self.json.is_closed();
            if has_lines {
                self.json.end_by_lines();
            } else {
                self.json.end_document();
            }
        }
    }
}
