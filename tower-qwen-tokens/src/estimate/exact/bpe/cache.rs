use super::{key::Key, pairs::filled};

const BITS: u32 = 14;
const SLOTS: usize = 1 << BITS;
/// Where a slot keeps the count: the upper four bits, which keys leave free. A piece with a key has 15 tokens at most.
const COUNT: u32 = 60;

/// The counts of pieces that were counted lately: words come again. One per thread, 256 KiB.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Box<[(u64, u64); SLOTS]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            slots: filled((0, 0)),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let (low, high) = self.slots[key.place(BITS)];
        (low == key.low && high << 4 == key.high << 4).then_some(high >> COUNT)
    }

    /// In place of what was there.
    #[inline]
    pub(super) fn insert(&mut self, key: Key, count: u64) {
        self.slots[key.place(BITS)] = (key.low, key.high | count << COUNT);
    }
}
