use super::merges::{Merges, SINGLE_BYTES};

/// Two symbols that are no merge.
pub(super) const NO_MERGE: u32 = u32::MAX;

/// An id takes 18 bits.
const ID_BITS: u32 = 18;
const SLOT_BITS: u32 = 18;
const SLOTS: usize = 1 << SLOT_BITS;
// Seven bits per merge: of the pairs that are none, one in seven passes.
const FILTER_BITS: u32 = 20;
const FILTER: usize = 1 << (FILTER_BITS - 6);
const ASCII: usize = 128;

/// Which id a pair of ids becomes.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The ids of single bytes.
    bytes: [u32; SINGLE_BYTES],
    /// Pairs of ASCII characters, once more: most words begin with those.
    ascii: Box<[u32; ASCII * ASCII]>,
    /// A bit for every pair that is there. Most questions end here: it is small enough to stay in the processor's cache.
    filter: Box<[u64; FILTER]>,
    /// Open addressing: the pair, then what it becomes; 0 is empty.
    slots: Box<[u64; SLOTS]>,
}

impl Pairs {
    pub(super) fn new(merges: &Merges) -> Self {
        let mut pairs = Self {
            bytes: [0; SINGLE_BYTES],
            ascii: filled(NO_MERGE),
            filter: filled(0),
            slots: filled(0),
        };
        for (id, &byte) in (0..).zip(merges.bytes) {
            pairs.bytes[usize::from(byte)] = id;
        }
        for (id, left, right) in merges.iter() {
            pairs.insert(left, right, id);
            let byte = |id: u32| merges.bytes.get(id as usize).filter(|byte| byte.is_ascii());
            if let (Some(&left), Some(&right)) = (byte(left), byte(right)) {
                pairs.ascii[ascii_pair(left, right)] = id;
            }
        }
        pairs
    }

    pub(super) fn insert(&mut self, left: u32, right: u32, id: u32) {
        let (key, hash) = hashed(left, right);
        let (word, bit) = filter_bit(hash);
        self.filter[word] |= bit;
        let mut at = slot(hash);
        while self.slots[at] != 0 {
            at = (at + 1) % SLOTS;
        }
        self.slots[at] = key << ID_BITS | u64::from(id);
    }

    /// The id of a byte.
    #[inline]
    pub(super) fn byte(&self, byte: u8) -> u32 {
        self.bytes[usize::from(byte)]
    }

    /// What two ASCII characters become, or [`NO_MERGE`].
    #[inline]
    pub(super) fn get_ascii(&self, left: u8, right: u8) -> u32 {
        self.ascii[ascii_pair(left, right)]
    }

    /// What the pair becomes, or [`NO_MERGE`].
    #[inline]
    pub(super) fn get(&self, left: u32, right: u32) -> u32 {
        let (key, hash) = hashed(left, right);
        let (word, bit) = filter_bit(hash);
        if self.filter[word] & bit == 0 {
            return NO_MERGE;
        }
        let mut at = slot(hash);
        loop {
            let found = self.slots[at];
            if found >> ID_BITS == key {
                return (found & ((1 << ID_BITS) - 1)) as u32;
            }
            if found == 0 {
                return NO_MERGE;
            }
            at = (at + 1) % SLOTS;
        }
    }
}

#[inline]
fn ascii_pair(left: u8, right: u8) -> usize {
    usize::from(left) % ASCII * ASCII + usize::from(right) % ASCII
}

#[inline]
fn hashed(left: u32, right: u32) -> (u64, u64) {
    let key = u64::from(left) << ID_BITS | u64::from(right);
    // The golden ratio: the upper bits of the product depend on all of the key.
    (key, key.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[inline]
fn slot(hash: u64) -> usize {
    (hash >> (64 - SLOT_BITS)) as usize
}

#[inline]
fn filter_bit(hash: u64) -> (usize, u64) {
    let at = hash >> (64 - FILTER_BITS);
    ((at >> 6) as usize, 1 << (at & 63))
}

/// A table on the heap whose length the compiler knows, so that no index into it is checked.
pub(super) fn filled<T: Copy + std::fmt::Debug, const N: usize>(value: T) -> Box<[T; N]> {
    vec![value; N]
        .into_boxed_slice()
        .try_into()
        .expect("the length is the same")
}
