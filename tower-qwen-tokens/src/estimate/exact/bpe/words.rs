use super::{key::ShortKey, pairs::filled, token_bytes::TokenBytes};

const SHORT_BITS: u32 = 17;
const SHORT: usize = 1 << SHORT_BITS;
const LONG_BITS: u32 = 15;
const LONG: usize = 1 << LONG_BITS;

/// The tokens of ASCII that have a short key, 93,000 of them: most pieces of English and of code are one.
///
/// Keys are apart from ids: a count needs no id, and so it reads half of the memory.
#[derive(Debug)]
pub(super) struct Words {
    /// Those of up to eight bytes.
    short: Box<[u64; SHORT]>,
    short_ids: Box<[u32; SHORT]>,
    long: Box<[(u64, u64); LONG]>,
    long_ids: Box<[u32; LONG]>,
}

impl Words {
    pub(super) fn new(tokens: &TokenBytes) -> Self {
        let mut words = Self {
            short: filled(0),
            short_ids: filled(0),
            long: filled((0, 0)),
            long_ids: filled(0),
        };
        for (id, token) in tokens.iter() {
            if token.is_ascii()
                && let Some(key) = ShortKey::of(token, 0, token.len())
            {
                words.insert(key, id);
            }
        }
        words
    }

    fn insert(&mut self, key: ShortKey, id: u32) {
        match key.eight() {
            Some(0) => {}
            Some(short) => {
                let at = place(&self.short, short, key.place(SHORT_BITS));
                (self.short[at], self.short_ids[at]) = (short, id);
            }
            None => {
                let long = (key.low, key.high);
                let at = place(&self.long, long, key.place(LONG_BITS));
                (self.long[at], self.long_ids[at]) = (long, id);
            }
        }
    }

    /// The token that is this piece.
    #[inline]
    pub(super) fn get(&self, key: ShortKey) -> Option<u32> {
        match key.eight() {
            Some(0) => None,
            Some(short) => {
                let at = place(&self.short, short, key.place(SHORT_BITS));
                (self.short[at] == short).then(|| self.short_ids[at])
            }
            None => {
                let long = (key.low, key.high);
                let at = place(&self.long, long, key.place(LONG_BITS));
                (self.long[at] == long).then(|| self.long_ids[at])
            }
        }
    }
}

/// Where a key is in a table, or else the free place where it would be. 0 is free.
#[inline]
fn place<T: Copy + PartialEq + Default, const N: usize>(
    table: &[T; N],
    key: T,
    first: usize,
) -> usize {
    let mut at = first % N;
    while table[at] != key && table[at] != T::default() {
        at = (at + 1) % N;
    }
    at
}
