use super::{key::Key, pairs::filled};

const BITS: u32 = 15;
const SLOTS: usize = 1 << BITS;
/// Where a slot keeps the count: in the byte that keys leave free. A piece that has a key has 30 tokens at most.
const COUNT: u32 = 48;

/// The counts of pieces that were counted lately: words come again. One per thread, 1 MiB.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Box<[[u64; 4]; SLOTS]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            slots: filled([0; 4]),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<u64> {
        let slot = self.slots[key.place(BITS)];
        let count = slot[3] >> COUNT & 0xff;
        (slot == with_count(key, count)).then_some(count)
    }

    /// In place of what was there.
    #[inline]
    pub(super) fn insert(&mut self, key: Key, count: u64) {
        self.slots[key.place(BITS)] = with_count(key, count);
    }
}

#[inline]
fn with_count(key: Key, count: u64) -> [u64; 4] {
    let [a, b, c, d] = key.0;
    [a, b, c, d | count << COUNT]
}
