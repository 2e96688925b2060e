//! Values of JSON in raw bytes: where a string ends, how long a number is.

use memchr::memchr2;

/// The most digits of a number that the template takes: so many fit into 64 bits whatever they are.
const MAX_DIGITS: usize = 19;

/// A value at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// All of it is there.
    Whole {
        /// Unit: bytes.
        length: usize,
        /// Whether it has no escapes. Only a text may have some.
        is_plain: bool,
    },
    /// It may go on behind these bytes.
    Cut,
    Invalid,
}

/// The length of the number at `at`, if it consists of digits alone and the bytes around it show
/// that it is a whole value.
pub(super) fn whole_number(bytes: &[u8], at: usize) -> Option<usize> {
    let before = bytes[..at].last()?;
    let Value::Whole { length, .. } = number(&bytes[at..]) else {
        return None;
    };
    let behind = bytes.get(at + length)?;
    (matches!(before, b':' | b',' | b'[' | b' ') && matches!(behind, b',' | b'}' | b']' | b' '))
        .then_some(length)
}

/// The digits of a number. JSON has no leading zeros: with them, an event could be valid where the
/// template is not.
pub(super) fn number(bytes: &[u8]) -> Value {
    let mut length = 0;
    while let Some(b'0'..=b'9') = bytes.get(length)
        && length <= MAX_DIGITS
    {
        length += 1;
    }
    let is_plain = true;
    match length {
        _ if length > MAX_DIGITS || (length > 1 && bytes[0] == b'0') => Value::Invalid,
        _ if length == bytes.len() => Value::Cut,
        0 => Value::Invalid,
        _ => Value::Whole { length, is_plain },
    }
}

/// A number of any form, `true`, `false` or `null`: the bytes that these have.
pub(super) fn bare(bytes: &[u8]) -> Value {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    let is_plain = true;
    match bytes.iter().take_while(|byte| is_part(byte)).count() {
        length if length == bytes.len() => Value::Cut,
        0 => Value::Invalid,
        length => Value::Whole { length, is_plain },
    }
}

/// The inside of a string up to its quote. A line break ends the line of the event, hence also the
/// string.
pub(super) fn text(bytes: &[u8]) -> Value {
    use Value::Invalid;
    let unless_broken = |value, text| if has_line_break(text) { Invalid } else { value };
    let mut is_plain = true;
    let mut length = 0;
    while let Some(found) = bytes.get(length..).and_then(end_of_string) {
        length += found;
        if bytes[length] == b'"' {
            return unless_broken(Value::Whole { length, is_plain }, &bytes[..length]);
        }
        is_plain = false;
        // Past the escape: a quote or a backslash in it does not count.
        let is_unicode = bytes.get(length + 1) == Some(&b'u');
        length += if is_unicode { 6 } else { 2 };
    }
    unless_broken(Value::Cut, bytes)
}

/// Where a string ends or has an escape.
pub(super) fn end_of_string(bytes: &[u8]) -> Option<usize> {
    // Words of eight bytes. Most strings end within them, and for those a call of `memchr2` costs
    // more than it saves.
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

/// Not zero if the word has the byte; the lowest bit that is set then lies in the first such byte.
fn has_byte(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let zero_there = word ^ (ONES * u64::from(byte));
    zero_there.wrapping_sub(ONES) & !zero_there & (ONES << 7)
}

fn has_line_break(text: &[u8]) -> bool {
    let breaks = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        has_byte(word, b'\n') | has_byte(word, b'\r')
    };
    // The last word may overlap the one before: bytes one at a time cost more.
    let Some(last) = text.last_chunk() else {
        return text.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    };
    let words = text.as_chunks().0.iter();
    // Without an early return, so that the compiler compares several words at a time.
    words.fold(breaks(last), |found, word| found | breaks(word)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(length: usize, is_plain: bool) -> Value {
        Value::Whole { length, is_plain }
    }

    #[test]
    fn a_number_is_digits_without_a_leading_zero() {
        for (bytes, expected) in [
            ("0,", whole(1, true)),
            ("17}", whole(2, true)),
            ("1.5", whole(1, true)),
            ("9999999999999999999,", whole(19, true)),
            ("", Value::Cut),
            ("12", Value::Cut),
            ("07,", Value::Invalid),
            ("10000000000000000000,", Value::Invalid),
            ("00000000000000000000", Value::Invalid),
            ("-1,", Value::Invalid),
            ("null", Value::Invalid),
        ] {
            assert_eq!(number(bytes.as_bytes()), expected, "{bytes}");
        }
    }

    #[test]
    fn a_number_in_the_template_is_a_whole_value() {
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
    fn a_line_break_is_found_wherever_it_is() {
        for length in 0..40 {
            assert!(!has_line_break(&vec![b'\x0b'; length]), "{length}");
            for at in 0..length {
                for line_break in [b'\n', b'\r'] {
                    let mut text = vec![b'\x0b'; length];
                    text[at] = line_break;
                    assert!(has_line_break(&text), "{at} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_text_goes_on_to_its_quote_within_the_line() {
        for (bytes, expected) in [
            ("\"", whole(0, true)),
            ("a longer text than the near one\"", whole(31, true)),
            ("a\\\"b\"", whole(4, false)),
            ("\\u0022\"", whole(6, false)),
            ("\\u\"\"\"\"\"", whole(6, false)),
            ("", Value::Cut),
            ("a", Value::Cut),
            ("\\", Value::Cut),
            ("\\\"", Value::Cut),
            ("\\u00", Value::Cut),
            ("a\nb\"", Value::Invalid),
            ("a\\\n\"", Value::Invalid),
            ("a\r", Value::Invalid),
            ("\\u\n", Value::Invalid),
        ] {
            assert_eq!(text(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }
}
