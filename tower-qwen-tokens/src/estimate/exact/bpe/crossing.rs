use std::ops::RangeInclusive;

use super::token_bytes::TokenBytes;

/// A token that spans a border of characters and begins or ends within one: the last bytes of a character, whole characters,
/// the first bytes of another. Two of the three at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing<'a> {
    pub(super) id: u32,
    pub(super) tail: &'a [u8],
    pub(super) whole: &'a str,
    pub(super) head: &'a [u8],
}

impl<'a> Crossing<'a> {
    fn new(id: u32, token: &'a [u8]) -> Option<Self> {
        let tail = token.iter().take_while(|byte| is_continuation(**byte));
        let (tail, rest) = token.split_at(tail.count());
        let whole = match std::str::from_utf8(rest) {
            Ok(whole) => whole,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
        };
        let head = &rest[whole.len()..];
        let parts = [!tail.is_empty(), !whole.is_empty(), !head.is_empty()];
        let crosses = !(tail.is_empty() && head.is_empty())
            && parts.into_iter().filter(|part| *part).count() > 1;
        crosses.then_some(Self {
            id,
            tail,
            whole,
            head,
        })
    }

    /// What may stand after the tail in a text.
    pub(super) fn after_tail(&self) -> RangeInclusive<u32> {
        match self.whole.chars().next() {
            Some(next) => u32::from(next)..=u32::from(next),
            None => starting_with(self.head),
        }
    }
}

/// All of a vocabulary.
pub(super) fn crossings(tokens: &TokenBytes) -> Vec<Crossing<'_>> {
    tokens
        .iter()
        .filter(|(_, token)| is_continuation(token[0]) || ends_within(token))
        .filter_map(|(id, token)| Crossing::new(id, token))
        .collect()
}

/// Whether the last character lacks bytes.
fn ends_within(token: &[u8]) -> bool {
    let last = token
        .iter()
        .rev()
        .take_while(|byte| is_continuation(**byte));
    let following = last.count();
    match token
        .len()
        .checked_sub(following + 1)
        .map(|lead| token[lead])
    {
        Some(0xf0..) => following < 3,
        Some(0xe0..) => following < 2,
        Some(0xc0..) => following < 1,
        _ => false,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The code points whose UTF-8 begins with these bytes, surrogates among them.
pub(super) fn starting_with(head: &[u8]) -> RangeInclusive<u32> {
    let lead = head[0];
    let length = match lead {
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    let bits = u32::from(lead) & (0x7f >> length);
    let known = head[1..]
        .iter()
        .fold(bits, |known, byte| known << 6 | u32::from(byte & 0x3f));
    let open = 6 * (length as u32 - head.len() as u32);
    known << open..=((known + 1) << open) - 1
}
