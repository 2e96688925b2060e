//! The framing of a stream: byte order mark, lines, fields and their values.

use memchr::memchr2;

use super::{
    line::{Data, Field, Line},
    stream::Sse,
};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The comment in which DashScope states an event's status.
const STATUS: &[u8] = b"HTTP_STATUS/";

impl Sse {
    /// The number of bytes at the front that belong to a byte order mark. It may come in pieces.
    pub(super) fn skip_mark(&mut self, bytes: &[u8]) -> usize {
        let Some(before) = self.mark else {
            return 0;
        };
        let same = bytes
            .iter()
            .zip(&BYTE_ORDER_MARK[before..])
            .take_while(|(byte, mark)| byte == mark)
            .count();
        let count = before + same;
        let is_over = count == BYTE_ORDER_MARK.len() || same < bytes.len();
        self.mark = (!is_over).then_some(count);
        same
    }

    /// Takes some bytes from the front, of at least one.
    pub(super) fn step(&mut self, bytes: &[u8]) -> usize {
        let taken = if std::mem::take(&mut self.after_carriage_return) && bytes[0] == b'\n' {
            1
        } else {
            match self.line {
                Line::Field => self.field(bytes[0]),
                Line::Colon(field) => {
                    let space = usize::from(bytes[0] == b' ');
                    self.begin_value(field, space);
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
            // Some hosts call a stream what is one JSON, or write an error into one as it is.
            _ if self.short.is_empty() && self.is_json(byte) => {
                self.is_bare = true;
                self.begin_line_of_data();
                self.begin_value(Field::Data, 0);
                return 0;
            }
            b':' => {
                self.line = Line::Colon(self.end_field());
            }
            _ => self.short.push(&[byte]),
        }
        1
    }

    /// Whether JSON begins with this first byte of a line, or goes on.
    fn is_json(&self, byte: u8) -> bool {
        matches!(byte, b'{' | b'[') || (self.is_bare && !self.json.is_closed())
    }

    fn end_field(&mut self) -> Field {
        let field = match self.short.get() {
            Some(b"data") => Field::Data,
            Some(b"event") => Field::Event,
            Some(b"") => Field::Comment,
            _ => Field::Other,
        };
        self.short.clear();
        if field == Field::Data {
            self.begin_line_of_data();
        }
        field
    }

    fn begin_line_of_data(&mut self) {
        // The lines of an event's data are joined by line feeds (the WHATWG's rule).
        if self.data != Data::None {
            self.json.push(b"\n");
        }
    }

    /// Begins the value of a line, behind `space` bytes.
    fn begin_value(&mut self, field: Field, space: usize) {
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
            // No empty line need follow on JSON without its field.
            if self.is_bare && self.json.is_closed() {
                self.end_event();
            }
        }
    }

    pub(super) fn end_line(&mut self) {
        let short = self.short.get().unwrap_or_default();
        match self.line {
            Line::Value(Field::Event) => self.context.is_error = short == b"error",
            Line::Value(Field::Comment) => {
                if let Some(status) = short.strip_prefix(STATUS) {
                    self.context.status = std::str::from_utf8(status.trim_ascii())
                        .ok()
                        .and_then(|text| text.parse().ok());
                }
            }
            _ => {}
        }
        self.short.clear();
        self.line = Line::Field;
    }
}
