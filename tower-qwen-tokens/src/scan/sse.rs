use memchr::memchr2;

use crate::Verdict;

use super::{
    json::{Event, Json, Text},
    likeness::Likeness,
    pattern::Compared,
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DONE: &[u8] = b"[DONE]";
/// A comment in which DashScope tells an event's status.
const STATUS: &[u8] = b"HTTP_STATUS/";
const MAX_SHORT: usize = 32;

/// Scans a stream of server-sent events: takes the framing off and hands each event's data on as it comes.
pub(super) struct Sse {
    json: Json,
    line: Line,
    /// The name of the line's field, or the value of a short one.
    short: Short,
    after_carriage_return: bool,
    /// How much of a byte order mark has passed; `None` once something else has.
    mark: Option<usize>,
    event: Event,
    data: Data,
    /// How much of the present event has been read in full. Unit: bytes.
    length: usize,
    /// How the event ended that just did.
    ended: Option<Ended>,
    likeness: Likeness,
    verdict: Option<Verdict>,
    done: bool,
}

/// What [`Sse::push_event`] took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// What belongs to no event: a byte order mark, the line feed that completes the break before.
    Between,
    /// All there was, of an event that goes on.
    Part,
    /// The rest of an event.
    Event(Ended),
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It states usage and has no answers.
    Extra,
    /// Anything else.
    Other,
}

/// Where in a line the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Field,
    /// After the colon, where one space may stand.
    Colon(Field),
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Comment,
    Other,
}

/// The data of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Data {
    #[default]
    None,
    /// One line, the value of which begins there in the event. Unit: bytes.
    Line(usize),
    Lines,
}

/// A few bytes; what is longer counts as unknown.
#[derive(Default)]
struct Short {
    bytes: [u8; MAX_SHORT],
    len: usize,
}

impl Sse {
    pub(super) fn new(text: Text) -> Self {
        Self {
            json: Json::new(text),
            line: Line::Field,
            short: Short::default(),
            after_carriage_return: false,
            mark: Some(0),
            event: Event::default(),
            data: Data::None,
            length: 0,
            ended: None,
            likeness: Likeness::default(),
            verdict: None,
            done: false,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[self.push_event(rest).0..];
        }
    }

    /// Reads on to the end of an event, or of what there is; tells how far it came.
    pub(super) fn push_event(&mut self, bytes: &[u8]) -> (usize, Passed) {
        let mark = self.skip_mark(bytes);
        if mark > 0 {
            return (mark, Passed::Between);
        }
        if bytes.is_empty() {
            return (0, Passed::Part);
        }
        if self.length == 0 {
            if self.after_carriage_return && self.likeness.seen().is_empty() && bytes[0] == b'\n' {
                self.after_carriage_return = false;
                return (1, Passed::Between);
            }
            match self.likeness.compare(bytes, &mut self.json) {
                Compared::Whole(taken) => {
                    self.after_carriage_return = false;
                    return (taken, Passed::Event(Ended::Other));
                }
                Compared::Part => return (bytes.len(), Passed::Part),
                Compared::Unlike => {
                    if let Some(ended) = self.read_seen() {
                        return (0, Passed::Event(ended));
                    }
                }
            }
        }
        self.read(bytes)
    }

    /// Whether the event that has begun is the extra one if it ends here.
    pub(super) fn is_extra(&mut self) -> bool {
        self.read_seen();
        self.is_extra_so_far()
    }

    fn is_extra_so_far(&self) -> bool {
        self.json.sketch().is_extra() && self.json.is_sound() && !self.event.is_error
    }

    /// Whether the event that has begun may become the extra one.
    pub(super) fn may_be_extra(&self) -> bool {
        if self.length == 0 && !self.likeness.seen().is_empty() {
            return self.likeness.may_be_extra();
        }
        self.json.sketch().may_be_extra() && !self.json.is_special() && !self.event.is_error
    }

    /// Ends the stream; an event that no blank line has closed counts as well.
    pub(super) fn finish(mut self) -> (Json, Option<Verdict>, bool) {
        self.read_seen();
        if self.line != Line::Field || !self.short.is_empty() {
            self.end_line();
        }
        self.end_event();
        (self.json, self.verdict, self.done)
    }

    pub(super) fn keep_text(&mut self) {
        self.json.keep_text();
    }

    pub(super) fn json(&self) -> &Json {
        &self.json
    }

    /// The first error among the events that have ended.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Has the next event read in full.
    #[cfg(test)]
    pub(super) fn forget_pattern(&mut self) {
        self.likeness.forget();
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.json.retained() + self.likeness.retained()
    }

    /// Reads on in full.
    fn read(&mut self, bytes: &[u8]) -> (usize, Passed) {
        let mut at = 0;
        while at < bytes.len() {
            at += self.step(&bytes[at..]);
            if let Some(ended) = self.ended.take() {
                if self.after_carriage_return && bytes.get(at) == Some(&b'\n') {
                    self.after_carriage_return = false;
                    at += 1;
                }
                self.likeness.ends(&bytes[..at]);
                self.length = 0;
                return (at, Passed::Event(ended));
            }
        }
        self.likeness.see(bytes);
        (at, Passed::Part)
    }

    /// Reads in full what has only been compared of the present event; tells how it ended, if it did.
    fn read_seen(&mut self) -> Option<Ended> {
        if self.length > 0 || self.likeness.seen().is_empty() {
            return None;
        }
        self.json.forget_text();
        let seen = self.likeness.take_seen();
        let (_, passed) = self.read(&seen);
        match passed {
            Passed::Event(ended) => Some(ended),
            Passed::Between | Passed::Part => None,
        }
    }

    /// How many bytes at the front belong to a byte order mark.
    fn skip_mark(&mut self, bytes: &[u8]) -> usize {
        let Some(passed) = self.mark else {
            return 0;
        };
        let same = bytes
            .iter()
            .zip(&BYTE_ORDER_MARK[passed..])
            .take_while(|(byte, mark)| byte == mark)
            .count();
        let passed = passed + same;
        let is_over = passed == BYTE_ORDER_MARK.len() || same < bytes.len();
        self.mark = (!is_over).then_some(passed);
        same
    }

    /// Takes some bytes from the front of what is not empty.
    fn step(&mut self, bytes: &[u8]) -> usize {
        let taken = if std::mem::take(&mut self.after_carriage_return) && bytes[0] == b'\n' {
            1
        } else {
            match self.line {
                Line::Field => self.field(bytes[0]),
                Line::Colon(field) => {
                    let space = usize::from(bytes[0] == b' ');
                    self.value_begins(field, space);
                    space
                }
                Line::Value(field) => self.value(field, bytes),
            }
        };
        self.length = self.length.saturating_add(taken);
        taken
    }

    fn field(&mut self, byte: u8) -> usize {
        match byte {
            b'\n' | b'\r' => self.line_break(byte),
            b':' => {
                self.line = Line::Colon(self.begin_value());
            }
            _ => self.short.push(&[byte]),
        }
        1
    }

    fn begin_value(&mut self) -> Field {
        let field = match self.short.get() {
            Some(b"data") => Field::Data,
            Some(b"event") => Field::Event,
            Some(b"") => Field::Comment,
            _ => Field::Other,
        };
        self.short.len = 0;
        if field == Field::Data && self.data != Data::None {
            self.json.push(b"\n");
        }
        field
    }

    /// The value of a line begins behind so much space.
    fn value_begins(&mut self, field: Field, space: usize) {
        self.line = Line::Value(field);
        if field == Field::Data {
            self.data = match self.data {
                Data::None => Data::Line(self.length.saturating_add(space)),
                Data::Line(_) | Data::Lines => Data::Lines,
            };
        }
    }

    fn value(&mut self, field: Field, bytes: &[u8]) -> usize {
        let end = memchr2(b'\n', b'\r', bytes);
        let value = &bytes[..end.unwrap_or(bytes.len())];
        match field {
            Field::Data => self.json.push(value),
            Field::Event | Field::Comment => self.short.push(value),
            Field::Other => {}
        }
        match end {
            Some(at) => {
                self.line_break(bytes[at]);
                at + 1
            }
            None => bytes.len(),
        }
    }

    fn line_break(&mut self, byte: u8) {
        self.after_carriage_return = byte == b'\r';
        if self.line == Line::Field && self.short.is_empty() {
            self.end_event();
        } else {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let short = self.short.get().unwrap_or_default();
        match self.line {
            Line::Value(Field::Event) => self.event.is_error = short == b"error",
            Line::Value(Field::Comment) => {
                if let Some(status) = short.strip_prefix(STATUS) {
                    self.event.status = std::str::from_utf8(status.trim_ascii())
                        .ok()
                        .and_then(|text| text.parse().ok());
                }
            }
            _ => {}
        }
        self.short.len = 0;
        self.line = Line::Field;
    }

    fn end_event(&mut self) {
        if let Data::Line(at) = self.data
            && !self.event.is_error
            && self.json.is_sound()
            && let Some(outline) = self.json.sketch().outline()
        {
            self.likeness.is_read(at, outline);
        }
        self.ended = Some(if self.is_extra_so_far() {
            Ended::Extra
        } else {
            Ended::Other
        });
        self.done |= self.json.head().trim_ascii() == DONE;
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.data) != Data::None || event.is_error {
            if self.verdict.is_none() {
                self.verdict = self.json.classify(event);
            }
            self.json.end_document();
        }
    }
}

impl Short {
    fn push(&mut self, bytes: &[u8]) {
        let from = self.len.min(MAX_SHORT);
        let kept = bytes.len().min(MAX_SHORT - from);
        self.bytes[from..from + kept].copy_from_slice(&bytes[..kept]);
        self.len = self.len.saturating_add(bytes.len());
    }

    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }

    fn is_empty(&self) -> bool {
        self.len == 0
    }
}
