//! Sorted keys over the table of errors, made when the crate is compiled.

/// Numbers by key, in the order of the keys; equal keys in the order of the numbers.
pub(super) struct Index<const N: usize> {
    entries: [(u32, u16); N],
    /// A bit for each hash of a key that is there: most keys that are asked for are not.
    filter: [u64; FILTER_WORDS],
}

// A thousand bits for some hundred keys: one wrong hit in ten.
const FILTER_WORDS: usize = 16;

impl<const N: usize> Index<N> {
    pub(super) const fn new(mut entries: [(u32, u16); N]) -> Self {
        let mut filter = [0; FILTER_WORDS];
        let mut at = 0;
        while at < N {
            let (word, bit) = bit_of(entries[at].0);
            filter[word] |= bit;
            // By insertion, which keeps equal keys in their order.
            let mut to = at;
            while to > 0 && entries[to - 1].0 > entries[to].0 {
                let entry = entries[to];
                entries[to] = entries[to - 1];
                entries[to - 1] = entry;
                to -= 1;
            }
            at += 1;
        }
        Self { entries, filter }
    }

    /// Whether a key may be there. Says no for most that are not, at next to no cost.
    pub(super) fn may_have(&self, key: u32) -> bool {
        let (word, bit) = bit_of(key);
        self.filter[word] & bit != 0
    }

    /// The numbers of a key.
    pub(super) fn of(&self, key: u32) -> impl Iterator<Item = usize> {
        let first = if self.may_have(key) {
            self.entries.partition_point(|(own, _)| *own < key)
        } else {
            N
        };
        let entries = self.entries[first..].iter();
        entries
            .take_while(move |(own, _)| *own == key)
            .map(|&(_, number)| usize::from(number))
    }
}

const fn bit_of(key: u32) -> (usize, u64) {
    // Fibonacci hashing: the upper bits depend on all of the key.
    let hash = key.wrapping_mul(0x9E37_79B1) >> 22;
    ((hash / 64) as usize, 1 << (hash % 64))
}

/// The key of a code: a hash (FNV-1a) of its letters, whatever their case.
pub(super) const fn hash(code: &[u8]) -> u32 {
    let mut hash = 0x811C_9DC5_u32;
    let mut at = 0;
    while at < code.len() {
        hash = (hash ^ code[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// The key of a phrase: its first four bytes. A phrase must have as many.
pub(super) const fn first_four(phrase: &[u8]) -> u32 {
    u32::from_le_bytes([phrase[0], phrase[1], phrase[2], phrase[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other() {
        static INDEX: Index<4> = Index::new([(9, 0), (3, 1), (9, 2), (5, 3)]);
        let of = |key| INDEX.of(key).collect::<Vec<_>>();
        assert_eq!((of(9), of(3), of(5)), (vec![0, 2], vec![1], vec![3]));
        for key in (0..1_000).filter(|key| ![3, 5, 9].contains(key)) {
            assert!(of(key).is_empty(), "{key}");
        }
        assert_eq!(hash(b"Limit_Requests"), hash(b"limit_requests"));
    }
}
