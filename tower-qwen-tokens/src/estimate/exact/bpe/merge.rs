use super::pairs::{NO_MERGE, Pairs};

/// In place of a symbol that was merged into one before it.
const GONE: u32 = u32::MAX;
/// Two symbols that are no merge: after all that are.
const NO_RANK: u64 = u64::MAX;

/// Symbols side by side, which are merged until no two neighbours are a merge. Keeps its buffers.
#[derive(Debug)]
pub(super) struct Symbols {
    symbols: Vec<u32>,
    /// The merge of each symbol and the one after it: the id, then the place, so that the lowest is the next to happen: the
    /// lowest id first, of equal ones the leftmost.
    // In one number of 64 bits, which compilers compare one by one: several at once would wait for the last store of a part.
    ranks: Vec<u64>,
    lowest: u64,
    /// The symbols before and after each.
    links: Vec<(u32, u32)>,
}

impl Symbols {
    pub(super) const fn new() -> Self {
        Self {
            symbols: Vec::new(),
            ranks: Vec::new(),
            lowest: NO_RANK,
            links: Vec::new(),
        }
    }

    /// Makes room for a piece of so many bytes; a long one is cut, or its buffers grow.
    #[inline]
    pub(super) fn reserve(&mut self, bytes: usize) {
        let symbols = bytes.min(64);
        self.symbols.reserve(symbols);
        self.ranks.reserve(symbols);
    }

    /// Those here: the tokens, once they are merged.
    #[inline]
    pub(super) fn get(&self) -> &[u32] {
        &self.symbols
    }

    #[inline]
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
        self.ranks.clear();
        self.lowest = NO_RANK;
    }

    #[inline]
    pub(super) fn push(&mut self, pairs: &Pairs, symbol: u32) {
        if let Some(&last) = self.symbols.last() {
            self.push_rank(pairs.get(last, symbol));
        }
        self.symbols.push(symbol);
    }

    /// Adds a piece of ASCII.
    pub(super) fn push_ascii(&mut self, pairs: &Pairs, piece: &[u8]) {
        self.symbols
            .extend(piece.iter().map(|&byte| pairs.byte(byte)));
        for two in piece.windows(2) {
            self.push_rank(pairs.get_ascii(two[0], two[1]));
        }
    }

    #[inline]
    fn push_rank(&mut self, id: u32) {
        let rank = rank(id, self.ranks.len());
        self.lowest = self.lowest.min(rank);
        self.ranks.push(rank);
    }

    /// Merges all.
    #[inline]
    pub(super) fn merge(&mut self, pairs: &Pairs) {
        if self.lowest == NO_RANK {
            return;
        }
        let id = (self.lowest >> 32) as u32;
        let at = self.lowest as u32;
        // Two or three symbols, as most words of Chinese are, need no order.
        match (&self.symbols[..], at) {
            ([_, _], _) => self.replace(id),
            ([_, _, last], 0) => match pairs.get(id, *last) {
                NO_MERGE => self.replace_both(id, *last),
                id => self.replace(id),
            },
            ([first, _, _], _) => match pairs.get(*first, id) {
                NO_MERGE => self.replace_both(*first, id),
                id => self.replace(id),
            },
            _ => {
                self.merge_in_place(pairs);
                self.symbols.retain(|&symbol| symbol != GONE);
            }
        }
    }

    #[inline]
    fn replace(&mut self, id: u32) {
        self.symbols.truncate(1);
        self.symbols[0] = id;
    }

    #[inline]
    fn replace_both(&mut self, left: u32, right: u32) {
        self.symbols.truncate(2);
        (self.symbols[0], self.symbols[1]) = (left, right);
    }

    /// Merges all, and says at which symbol each token begins.
    pub(super) fn merge_with_places(&mut self, pairs: &Pairs) -> Vec<usize> {
        self.merge_in_place(pairs);
        let symbols = self.symbols.iter().enumerate();
        let places = symbols.filter(|&(_, &symbol)| symbol != GONE);
        let places = places.map(|(at, _)| at).collect();
        self.symbols.retain(|&symbol| symbol != GONE);
        places
    }

    fn merge_in_place(&mut self, pairs: &Pairs) {
        let end = self.symbols.len();
        self.ranks.push(NO_RANK);
        self.links.clear();
        self.links
            .extend((0..end as u32).map(|at| (at.wrapping_sub(1), at + 1)));
        let (symbols, ranks, links) = (
            &mut self.symbols[..end],
            &mut self.ranks[..end],
            &mut self.links[..end],
        );
        let mut lowest = self.lowest;
        while lowest != NO_RANK {
            let at = lowest as u32 as usize;
            let id = (lowest >> 32) as u32;
            let (before, gone) = links[at];
            let (_, after) = links[gone as usize];
            symbols[at] = id;
            symbols[gone as usize] = GONE;
            ranks[gone as usize] = NO_RANK;
            links[at].1 = after;
            ranks[at] = match symbols.get(after as usize) {
                Some(&next) => {
                    links[after as usize].0 = at as u32;
                    rank(pairs.get(id, next), at)
                }
                None => NO_RANK,
            };
            if let Some(&left) = symbols.get(before as usize) {
                ranks[before as usize] = rank(pairs.get(left, id), before as usize);
            }
            lowest = ranks.iter().copied().fold(NO_RANK, u64::min);
        }
    }
}

#[inline]
fn rank(id: u32, at: usize) -> u64 {
    // `NO_MERGE` is the highest of all ids.
    match id {
        NO_MERGE => NO_RANK,
        _ => u64::from(id) << 32 | at as u64,
    }
}
