use super::{pairs::filled, token_bytes::TokenBytes};

const BITS: u32 = 19;
const WORDS: usize = 1 << (BITS - 6);

/// The borders of characters that some token spans: a bit for each pair of characters side by side within a token. There are
/// 22,614 of them, so one border in twenty-three is taken for one by chance; then it is only not cut.
#[derive(Debug)]
pub(super) struct Borders(Box<[u64; WORDS]>);

impl Borders {
    pub(super) fn new(tokens: &TokenBytes) -> Self {
        let mut borders = Self(filled(0));
        for (_, token) in tokens.iter() {
            // Borders within ASCII are never cut: nearly all of them are spanned.
            if token.len() > 2 && !token.is_ascii() {
                borders.insert(token);
            }
        }
        borders
    }

    fn insert(&mut self, token: &[u8]) {
        for whole in token.utf8_chunks() {
            let mut characters = whole.valid().chars();
            let Some(mut left) = characters.next() else {
                continue;
            };
            for right in characters {
                let (word, bit) = place(left, right);
                self.0[word] |= bit;
                left = right;
            }
        }
    }

    /// Whether no token spans this border: of characters that are not both ASCII, since those are not in the table.
    #[inline]
    pub(super) fn no_token_spans(&self, left: char, right: char) -> bool {
        if left.is_ascii() && right.is_ascii() {
            return false;
        }
        let (word, bit) = place(left, right);
        self.0[word] & bit == 0
    }
}

#[inline]
fn place(left: char, right: char) -> (usize, u64) {
    let key = u64::from(left) << 21 | u64::from(right);
    let at = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    ((at >> 6) as usize, 1 << (at & 63))
}
