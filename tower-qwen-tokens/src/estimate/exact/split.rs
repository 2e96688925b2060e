use std::borrow::Cow;

use super::{
    classes::{CharacterClass, Classes},
    nfc::nfc,
};

/// Cuts a text into the pieces that are encoded each by itself.
///
/// By hand, for speed, the pattern of the vocabulary:
/// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
#[derive(Debug)]
pub(super) struct Splitter {
    classes: Classes,
}

/// Where a scan has come to, and whether all until there was ASCII.
#[derive(Debug, Clone, Copy)]
struct Scan {
    at: usize,
    is_ascii: bool,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            classes: Classes::new(),
        }
    }

    /// The text in NFC.
    pub(super) fn nfc<'a>(&self, text: &'a str) -> Cow<'a, str> {
        nfc(&self.classes, text)
    }

    /// Where the piece that starts here ends, and whether it is all ASCII. `start` is a border of characters before the end.
    #[inline]
    pub(super) fn piece(&self, text: &str, start: usize) -> (usize, bool) {
        let bytes = text.as_bytes();
        // Most pieces of most texts: ASCII letters, with or without a space or a mark before them.
        let letters = match self.classes.lead(bytes[start]).class() {
            Some(CharacterClass::Space | CharacterClass::Other)
                if !matches!(bytes[start], b'\r' | b'\n' | b'\'' | 0x80..) =>
            {
                start + 1
            }
            _ => start,
        };
        let end = letters + ascii_letters(&bytes[letters..]);
        if end > letters && bytes.get(end).is_none_or(u8::is_ascii) {
            return (end, true);
        }
        let start = Scan {
            at: start,
            is_ascii: true,
        };
        let end = self.piece_end(text, start);
        (end.at, end.is_ascii)
    }

    fn piece_end(&self, text: &str, start: Scan) -> Scan {
        let bytes = text.as_bytes();
        let first = self.next(text, start);
        let (class, scan) = first;
        match class {
            CharacterClass::Letter => self.run(text, scan, CharacterClass::Letter),
            CharacterClass::Number => scan,
            CharacterClass::Space if matches!(bytes[start.at], b'\r' | b'\n') => {
                self.white_space(text, start)
            }
            CharacterClass::Space | CharacterClass::Other => {
                if bytes[start.at] == b'\''
                    && let Some(end) = contraction(&bytes[scan.at..])
                {
                    // `ſ` is an `s`, and no ASCII.
                    return Scan {
                        at: scan.at + end,
                        is_ascii: bytes[scan.at].is_ascii(),
                    };
                }
                let second = (scan.at < bytes.len()).then(|| self.next(text, scan));
                match second {
                    Some((CharacterClass::Letter, scan)) => {
                        self.run(text, scan, CharacterClass::Letter)
                    }
                    Some((CharacterClass::Other, scan))
                        if class == CharacterClass::Other || bytes[start.at] == b' ' =>
                    {
                        self.marks(text, scan)
                    }
                    _ if class == CharacterClass::Other => self.marks(text, scan),
                    _ => self.white_space(text, start),
                }
            }
        }
    }

    /// The class of the next character, and what follows it.
    #[inline(always)]
    fn next(&self, text: &str, scan: Scan) -> (CharacterClass, Scan) {
        let byte = text.as_bytes()[scan.at];
        let lead = self.classes.lead(byte);
        let after = Scan {
            at: scan.at + lead.length(),
            is_ascii: scan.is_ascii && byte.is_ascii(),
        };
        let class = match lead.class() {
            Some(class) => class,
            None => self.class_of_first(&text[scan.at..]),
        };
        (class, after)
    }

    #[inline]
    fn class_of_first(&self, text: &str) -> CharacterClass {
        let first = text.chars().next().unwrap_or_default();
        self.classes.of(first)
    }

    /// All characters of a class from here on.
    #[inline]
    fn run(&self, text: &str, from: Scan, class: CharacterClass) -> Scan {
        let mut scan = from;
        while scan.at < text.len() {
            let (next, after) = self.next(text, scan);
            if next != class {
                break;
            }
            scan = after;
        }
        scan
    }

    /// Marks, and the line breaks after them.
    fn marks(&self, text: &str, from: Scan) -> Scan {
        let mut scan = self.run(text, from, CharacterClass::Other);
        let breaks = text.as_bytes()[scan.at..].iter();
        scan.at += breaks.take_while(|byte| is_line_break(**byte)).count();
        scan
    }

    /// White space: up to its last line break; else all of it before the end of the text; else all but the last character,
    /// which belongs to what follows.
    fn white_space(&self, text: &str, start: Scan) -> Scan {
        let end = self.run(text, start, CharacterClass::Space);
        let run = &text[start.at..end.at];
        let breaks = run.bytes().rposition(is_line_break);
        let length = match breaks {
            Some(last) => last + 1,
            None if end.at == text.len() => run.len(),
            None => match run.char_indices().next_back() {
                Some((last, _)) if last > 0 => last,
                _ => run.len(),
            },
        };
        Scan {
            at: start.at + length,
            is_ascii: run[..length].is_ascii(),
        }
    }
}

/// How many ASCII letters a text begins with.
#[inline]
fn ascii_letters(bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(eight) = bytes.get(count..count + 8) {
        let others = not_letters(u64::from_le_bytes(eight.try_into().unwrap_or_default()));
        if others != 0 {
            return count + others.trailing_zeros() as usize / 8;
        }
        count += 8;
    }
    let rest = bytes[count..].iter();
    count + rest.take_while(|byte| byte.is_ascii_alphabetic()).count()
}

/// The upper bit of each of eight bytes that is no ASCII letter: eight comparisons at once.
#[inline]
fn not_letters(eight: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const UPPER: u64 = 0x80 * EACH;
    let lower_case = (eight | (0x20 * EACH)) & !UPPER;
    // No sum of a byte reaches the next one.
    let from_a = lower_case + (0x80 - b'a' as u64) * EACH;
    let after_z = lower_case + (0x7f - b'z' as u64) * EACH;
    (!from_a | after_z | eight) & UPPER
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The length of what makes a contraction of the apostrophe before it, in any case.
fn contraction(after: &[u8]) -> Option<usize> {
    match after {
        [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => Some(1),
        [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => Some(2),
        // `ſ`, the long form of `s`.
        [0xc5, 0xbf, ..] => Some(2),
        _ => None,
    }
}
