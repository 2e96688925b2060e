//! Texts that were cut in the middle of a character.
//!
//! Programs that count UTF-16 cut a text between the two halves of a pair and write the half that is left: as an escape
//! (`\ud83d`), or in the three bytes that UTF-8 would give it. Servers take both; a strict parser takes neither.

/// What stands for a half: as many bytes as its escape, so that positions stay.
const ESCAPE: &[u8; 6] = b"\\ufffd";
/// Likewise for its three bytes.
const BYTES: &[u8; 3] = b"\xef\xbf\xbd";

/// A copy of this JSON with U+FFFD in place of each half of a surrogate pair; `None` where it has none.
pub(super) fn without_half_pairs(json: &[u8]) -> Option<Vec<u8>> {
    let mut copy = None;
    let mut at = 0;
    while let Some(rest) = json.get(at..).filter(|rest| !rest.is_empty()) {
        let (taken, whole): (usize, Option<&[u8]>) = match rest {
            // The byte after a backslash belongs to it, whatever the escape is.
            [b'\\', ..] => match (unit(rest), unit(rest.get(6..).unwrap_or_default())) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
                (Some(0xd800..=0xdfff), _) => (6, Some(ESCAPE)),
                _ => (2, None),
            },
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => (3, Some(BYTES)),
            _ => (1, None),
        };
        if let Some(whole) = whole {
            copy.get_or_insert_with(|| json.to_vec())[at..at + taken].copy_from_slice(whole);
        }
        at += taken;
    }
    copy
}

/// The unit of UTF-16 that an escape at the start writes.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_stay() {
        for (json, expected) in [
            (&br#""\ud83d""#[..], Some(&br#""\ufffd""#[..])),
            (br#""\ude42\uD83D x""#, Some(br#""\ufffd\ufffd x""#)),
            (br#""\ud83d\ud83d\ude42""#, Some(br#""\ufffd\ud83d\ude42""#)),
            (br#""\ud83d\n""#, Some(br#""\ufffd\n""#)),
            (b"\"\xed\xa0\xbd\"", Some("\"\u{fffd}\"".as_bytes())),
            (br#""\ud83d\ude42""#, None),
            // A backslash and five letters.
            (br#""\\ud83d""#, None),
            (br#""\u00e9\u""#, None),
            ("\"\u{d7ff}\u{1f642}\"".as_bytes(), None),
            (br#""\ud83"#, None),
            (b"\"\\", None),
            (b"", None),
        ] {
            assert_eq!(without_half_pairs(json).as_deref(), expected, "{json:?}");
        }
    }
}
