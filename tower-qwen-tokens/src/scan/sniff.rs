use super::short_bytes::ShortBytes;

/// What the lines of a stream begin with.
const FIELDS: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
/// As long as the longest of them. Unit: bytes.
const MAX_FIELD: usize = 6;
/// The bytes before a body's first sign: a byte order mark and space.
const BLANK: &[u8] = b"\xef\xbb\xbf \t\r\n";

/// Finds out by its first bytes what a body is, where its content type does not say it or may be
/// wrong.
#[derive(Default)]
pub(super) struct Sniffer {
    /// The first bytes that are no space.
    pub(super) head: ShortBytes<MAX_FIELD>,
}

/// What a body is by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    Json,
    Events,
    Neither,
}

impl Sniffer {
    /// Takes bytes until they decide; returns how many it took.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (usize, Option<Sniffed>) {
        for (at, byte) in bytes.iter().enumerate() {
            if self.head.is_empty() && BLANK.contains(byte) {
                continue;
            }
            self.head.push(&[*byte]);
            let head = self.head.get().unwrap_or_default();
            let sniffed = if matches!(head[0], b'{' | b'[') {
                Sniffed::Json
            } else if FIELDS.contains(&head) {
                Sniffed::Events
            } else if FIELDS.iter().any(|field| field.starts_with(head)) {
                continue;
            } else {
                Sniffed::Neither
            };
            return (at + 1, Some(sniffed));
        }
        (bytes.len(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide_wherever_they_are_cut() {
        for (body, expected) in [
            ("{\"a\":1}", Some(Sniffed::Json)),
            ("\u{feff} \r\n [1]", Some(Sniffed::Json)),
            ("data: {}", Some(Sniffed::Events)),
            ("data:{}", Some(Sniffed::Events)),
            ("\u{feff}\n\nevent: x", Some(Sniffed::Events)),
            ("id:1\ndata:{}", Some(Sniffed::Events)),
            ("retry: 3000", Some(Sniffed::Events)),
            (": keep-alive", Some(Sniffed::Events)),
            ("datafoo: 1", Some(Sniffed::Neither)),
            ("<html>", Some(Sniffed::Neither)),
            ("error", Some(Sniffed::Neither)),
            ("id", None),
            (" \n", None),
            ("", None),
        ] {
            for piece in 1..=body.len().max(1) {
                let mut sniffer = Sniffer::default();
                let sniffed = body
                    .as_bytes()
                    .chunks(piece)
                    .find_map(|piece| sniffer.push(piece).1);
                assert_eq!(sniffed, expected, "{body:?} in pieces of {piece}");
            }
        }
    }
}
