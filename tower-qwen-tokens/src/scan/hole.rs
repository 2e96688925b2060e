use memchr::memchr2;

/// An event with more places that may differ is not compared.
pub(super) const MAX_HOLES: usize = 16;
/// A number of so many digits fits into 64 bits whatever they are.
const MAX_DIGITS: usize = 19;

/// A place in which events that are alike may differ. Unit: bytes from the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    start: u16,
    end: u16,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The inside of a string that is text of the model.
    Text,
    /// A whole number from zero up.
    Number,
}

/// What stands where a hole begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filling {
    /// The same kind of thing, so long; only a text may hold escapes. Unit: bytes.
    Fits {
        length: usize,
        is_plain: bool,
    },
    /// As far as it came.
    Cut,
    Unfit,
}

/// The holes of one event, in their order.
#[derive(Clone, Copy)]
pub(super) struct Holes {
    holes: [Hole; MAX_HOLES],
    /// Beyond the array where they are too many, or too far behind.
    count: usize,
}

impl Hole {
    pub(super) fn start(&self) -> usize {
        self.start.into()
    }

    pub(super) fn end(&self) -> usize {
        self.end.into()
    }
}

impl Kind {
    pub(super) fn fill(self, bytes: &[u8]) -> Filling {
        match self {
            Self::Text => text(bytes),
            Self::Number => number(bytes),
        }
    }
}

impl Holes {
    pub(super) fn push(&mut self, start: usize, end: usize, kind: Kind) {
        let hole = u16::try_from(start).ok().zip(u16::try_from(end).ok());
        match (hole, self.holes.get_mut(self.count)) {
            (Some((start, end)), Some(place)) => {
                *place = Hole { start, end, kind };
                self.count += 1;
            }
            _ => self.count = usize::MAX,
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// All of them, if they are known.
    pub(super) fn get(&self) -> Option<&[Hole]> {
        self.holes.get(..self.count)
    }
}

impl Default for Holes {
    fn default() -> Self {
        let none = Hole {
            start: 0,
            end: 0,
            kind: Kind::Number,
        };
        Self {
            holes: [none; MAX_HOLES],
            count: 0,
        }
    }
}

/// How long the number is that begins here and is a value of its own: nothing but digits, all of them here.
pub(super) fn whole_number(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes[..at].last()?;
    let Filling::Fits { length, .. } = number(&bytes[at..]) else {
        return None;
    };
    let behind = bytes.get(at + length)?;
    (matches!(before, b':' | b',' | b'[' | b' ') && matches!(behind, b',' | b'}' | b']' | b' '))
        .then_some(length)
}

/// Digits as JSON writes a number, so that what is valid with one of them is valid with any.
pub(super) fn number(bytes: &[u8]) -> Filling {
    let mut length = 0;
    while let Some(b'0'..=b'9') = bytes.get(length)
        && length <= MAX_DIGITS
    {
        length += 1;
    }
    if length > MAX_DIGITS || (length > 1 && bytes[0] == b'0') {
        Filling::Unfit
    } else if length == bytes.len() {
        Filling::Cut
    } else if length == 0 {
        Filling::Unfit
    } else {
        Filling::Fits {
            length,
            is_plain: true,
        }
    }
}

/// The inside of a string up to where it closes, in one line.
fn text(bytes: &[u8]) -> Filling {
    let mut is_plain = true;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(end_of_string) {
        at += found;
        if bytes[at] == b'"' {
            let fits = Filling::Fits {
                length: at,
                is_plain,
            };
            return if has_line_break(&bytes[..at]) {
                Filling::Unfit
            } else {
                fits
            };
        }
        is_plain = false;
        at += if bytes.get(at + 1) == Some(&b'u') {
            6
        } else {
            2
        };
    }
    if has_line_break(bytes) {
        Filling::Unfit
    } else {
        Filling::Cut
    }
}

/// Where a string ends or holds an escape. Most are short, for which the search by large blocks does not pay.
pub(super) fn end_of_string(bytes: &[u8]) -> Option<usize> {
    const NEAR: usize = 4;
    let (words, rest) = bytes.as_chunks();
    let near = words.len().min(NEAR);
    for (at, word) in words[..near].iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let ends = has_byte(word, b'"') | has_byte(word, b'\\');
        if ends != 0 {
            return Some(at * 8 + ends.trailing_zeros() as usize / 8);
        }
    }
    if words.len() > NEAR {
        let far = memchr2(b'"', b'\\', &bytes[NEAR * 8..]);
        return far.map(|at| NEAR * 8 + at);
    }
    let is_end = |byte: &u8| matches!(byte, b'"' | b'\\');
    let at = rest.iter().position(is_end)?;
    Some(words.len() * 8 + at)
}

/// Not zero where the word has the byte; the lowest bit that is set then lies in the first such byte.
fn has_byte(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let zero_there = word ^ (ONES * u64::from(byte));
    zero_there.wrapping_sub(ONES) & !zero_there & (ONES << 7)
}

fn has_line_break(text: &[u8]) -> bool {
    text.iter()
        .fold(false, |found, byte| found | matches!(byte, b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(length: usize, is_plain: bool) -> Filling {
        Filling::Fits { length, is_plain }
    }

    #[test]
    fn a_number_is_any_that_is_as_valid() {
        for (bytes, expected) in [
            ("0,", fits(1, true)),
            ("17}", fits(2, true)),
            ("1.5", fits(1, true)),
            ("9999999999999999999,", fits(19, true)),
            ("", Filling::Cut),
            ("12", Filling::Cut),
            ("07,", Filling::Unfit),
            ("10000000000000000000,", Filling::Unfit),
            ("00000000000000000000", Filling::Unfit),
            ("-1,", Filling::Unfit),
            ("null", Filling::Unfit),
        ] {
            assert_eq!(number(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn a_hole_for_a_number_is_a_value_of_its_own() {
        for (bytes, at, expected) in [
            (":17,", 1, Some(2)),
            ("[0]", 1, Some(1)),
            (": 17}", 2, Some(2)),
            ("17,", 0, None),
            (":17", 1, None),
            (":-1,", 2, None),
            (":1.5,", 1, None),
            (":1.5,", 3, None),
            (":1e5,", 1, None),
            (":117,", 2, None),
        ] {
            assert_eq!(whole_number(bytes.as_bytes(), at), expected, "{bytes}");
        }
    }

    #[test]
    fn a_string_ends_at_its_first_quote_or_escape() {
        for length in 0..60 {
            let plain = "\u{a2}!#[]\u{dc}".repeat(10).as_bytes()[..length].to_vec();
            assert_eq!(end_of_string(&plain), None);
            for end in [b'"', b'\\'] {
                for behind in 0..20 {
                    let mut bytes = plain.clone();
                    bytes.push(end);
                    bytes.extend([b'"'; 20].iter().take(behind));
                    assert_eq!(end_of_string(&bytes), Some(length), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_goes_on_to_its_quote_within_the_line() {
        for (bytes, expected) in [
            ("\"", fits(0, true)),
            ("a longer text than the near one\"", fits(31, true)),
            ("a\\\"b\"", fits(4, false)),
            ("\\u0022\"", fits(6, false)),
            ("\\u\"\"\"\"\"", fits(6, false)),
            ("", Filling::Cut),
            ("a", Filling::Cut),
            ("\\", Filling::Cut),
            ("\\\"", Filling::Cut),
            ("\\u00", Filling::Cut),
            ("a\nb\"", Filling::Unfit),
            ("a\\\n\"", Filling::Unfit),
            ("a\r", Filling::Unfit),
            ("\\u\n", Filling::Unfit),
        ] {
            assert_eq!(text(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
