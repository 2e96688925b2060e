//! What stands behind a backslash within a string.

use super::{Json, Token, Within, text::escaped};

impl Json {
    /// Takes a byte behind a backslash.
    pub(super) fn escape(&mut self, byte: u8) {
        match self.place.token {
            Token::Escape(within) => self.escape_begins(within, byte),
            Token::Unicode {
                within,
                digits,
                unit,
            } => self.unicode(within, digits, unit, byte),
            Token::Between | Token::String(_) => {}
        }
    }

    fn escape_begins(&mut self, within: Within, byte: u8) {
        self.place.token = if byte == b'u' {
            Token::Unicode {
                within,
                digits: 0,
                unit: 0,
            }
        } else {
            Token::String(within)
        };
        match within {
            Within::Name => self.place.name.spoil(),
            Within::Text if byte != b'u' => self.unit_passes(u16::from(escaped(byte))),
            // No model's name holds an escape but that of a slash.
            Within::Model => self.model_goes_on(if byte == b'/' { b"/" } else { b"\xff" }),
            Within::Text | Within::Passed => {}
        }
    }

    fn unicode(&mut self, within: Within, digits: u8, unit: u16, byte: u8) {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        let unit = unit << 4 | digit as u16;
        if digits < 3 {
            let digits = digits + 1;
            self.place.token = Token::Unicode {
                within,
                digits,
                unit,
            };
            return;
        }
        self.place.token = Token::String(within);
        if within == Within::Text {
            self.unit_passes(unit);
        }
    }
}
