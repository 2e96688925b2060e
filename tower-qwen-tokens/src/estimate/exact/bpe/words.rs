use super::{pairs::filled, token_bytes::TokenBytes};

const SHORT_BITS: u32 = 17;
const SHORT: usize = 1 << SHORT_BITS;
const LONG_BITS: u32 = 15;
const LONG: usize = 1 << LONG_BITS;

/// The tokens of ASCII up to 16 bytes, 93,000 of them: most pieces of English and of code are one.
///
/// Keys are apart from ids: a count needs no id, and so it reads half of the memory.
#[derive(Debug)]
pub(super) struct Words {
    /// Up to 8 bytes, in the order of a text; 0 is empty.
    short: Box<[u64; SHORT]>,
    short_ids: Box<[u32; SHORT]>,
    /// 9 to 16 bytes.
    long: Box<[u128; LONG]>,
    long_ids: Box<[u32; LONG]>,
}

impl Words {
    pub(super) fn new(tokens: &TokenBytes) -> Self {
        let mut words = Self {
            short: filled(0),
            short_ids: filled(0),
            long: filled(0),
            long_ids: filled(0),
        };
        for (id, token) in tokens.iter() {
            // Zero bytes would make two tokens one key.
            if token.is_ascii() && !token.contains(&0) {
                words.insert(token, id);
            }
        }
        words
    }

    fn insert(&mut self, token: &[u8], id: u32) {
        match token.len() {
            0..=8 => {
                let mut at = short_slot(short_key(token, 0, token.len()));
                while self.short[at] != 0 {
                    at = (at + 1) % SHORT;
                }
                self.short[at] = short_key(token, 0, token.len());
                self.short_ids[at] = id;
            }
            9..=16 => {
                let key = long_key(token);
                let mut at = long_slot(key);
                while self.long[at] != 0 {
                    at = (at + 1) % LONG;
                }
                self.long[at] = key;
                self.long_ids[at] = id;
            }
            _ => {}
        }
    }

    /// The token that these bytes of a text are, if it is a short enough one.
    #[inline]
    pub(super) fn get(&self, text: &[u8], start: usize, end: usize) -> Option<u32> {
        // A key does not show zero bytes at its end.
        if text[end - 1] == 0 {
            return None;
        }
        match end - start {
            0..=8 => {
                let key = short_key(text, start, end);
                let mut at = short_slot(key);
                loop {
                    if self.short[at] == key {
                        return Some(self.short_ids[at]);
                    }
                    if self.short[at] == 0 {
                        return None;
                    }
                    at = (at + 1) % SHORT;
                }
            }
            9..=16 => {
                let key = long_key(&text[start..end]);
                let mut at = long_slot(key);
                loop {
                    if self.long[at] == key {
                        return Some(self.long_ids[at]);
                    }
                    if self.long[at] == 0 {
                        return None;
                    }
                    at = (at + 1) % LONG;
                }
            }
            _ => None,
        }
    }
}

/// Up to eight bytes as a number.
#[inline]
fn short_key(text: &[u8], start: usize, end: usize) -> u64 {
    if let Some(eight) = text.get(start..start + 8) {
        // Eight bytes at once, then without those of the next piece.
        let eight = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        return eight & u64::MAX >> (64 - 8 * (end - start));
    }
    let bytes = text[start..end].iter().rev();
    bytes.fold(0, |key, &byte| key << 8 | u64::from(byte))
}

#[inline]
fn long_key(word: &[u8]) -> u128 {
    let low = u64::from_le_bytes(word[..8].try_into().unwrap_or_default());
    // The last eight bytes, of which the low half has some already.
    let high = u64::from_le_bytes(word[word.len() - 8..].try_into().unwrap_or_default());
    let high = u128::from(high) >> (8 * (16 - word.len())) << 64;
    u128::from(low) | high
}

#[inline]
fn short_slot(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SHORT_BITS)) as usize
}

#[inline]
fn long_slot(key: u128) -> usize {
    let folded = key as u64 ^ ((key >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LONG_BITS)) as usize
}
