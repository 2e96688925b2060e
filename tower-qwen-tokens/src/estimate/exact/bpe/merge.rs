use super::pairs::{NO_MERGE, Pairs};

/// A rank holds the place, too: 18 bits of the id leave 13 of a positive number.
const PLACE_BITS: u32 = 13;
/// The most that are merged at once. Unit: symbols.
pub(super) const MOST: usize = 1 << PLACE_BITS;

/// In place of a symbol that was merged into one before it.
const GONE: u32 = u32::MAX;
/// A pair that is no merge: higher than all that are.
const NO_RANK: i32 = i32::MAX;

/// Merges symbols until no two neighbours are a merge. Keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Merger {
    /// The merge of each symbol and the one after it: the id, then the place, so that the lowest is the next to happen: the
    /// lowest id first, of equal ones the leftmost. Signed, since processors compare many of those at once.
    ranks: Vec<i32>,
    /// The symbols before and after each.
    links: Vec<(u16, u16)>,
}

impl Merger {
    /// Merges [`MOST`] symbols at most.
    pub(super) fn merge(&mut self, pairs: &Pairs, symbols: &mut Vec<u32>) {
        if self.merge_in_place(pairs, symbols) {
            symbols.retain(|&symbol| symbol != GONE);
        }
    }

    /// The same, and where each token began.
    pub(super) fn merge_with_places(
        &mut self,
        pairs: &Pairs,
        symbols: &mut Vec<u32>,
    ) -> Vec<usize> {
        self.merge_in_place(pairs, symbols);
        let whole = symbols.iter().enumerate();
        let places = whole
            .filter(|&(_, &symbol)| symbol != GONE)
            .map(|(at, _)| at);
        let places = places.collect();
        symbols.retain(|&symbol| symbol != GONE);
        places
    }

    /// Leaves places empty; whether there are any.
    fn merge_in_place(&mut self, pairs: &Pairs, symbols: &mut [u32]) -> bool {
        let end = symbols.len();
        debug_assert!(end <= MOST, "the place of a rank has no more bits");
        self.ranks.clear();
        let two = symbols.windows(2).enumerate();
        self.ranks
            .extend(two.map(|(at, two)| rank(pairs, two[0], two[1], at)));
        self.ranks.push(NO_RANK);
        let ranks = &mut self.ranks[..end];
        let mut lowest = lowest_of(ranks);
        if lowest == NO_RANK {
            return false;
        }
        self.links.clear();
        self.links
            .extend((0..end as u16).map(|at| (at.wrapping_sub(1), at + 1)));
        let links = &mut self.links[..end];
        while lowest != NO_RANK {
            let at = lowest as usize % MOST;
            let id = (lowest >> PLACE_BITS) as u32;
            let (before, gone) = links[at];
            let (_, after) = links[usize::from(gone)];
            symbols[at] = id;
            symbols[usize::from(gone)] = GONE;
            ranks[usize::from(gone)] = NO_RANK;
            links[at].1 = after;
            ranks[at] = match symbols.get(usize::from(after)) {
                Some(&next) => {
                    links[usize::from(after)].0 = at as u16;
                    rank(pairs, id, next, at)
                }
                None => NO_RANK,
            };
            let before = usize::from(before);
            if let Some(&left) = symbols.get(before) {
                ranks[before] = rank(pairs, left, id, before);
            }
            lowest = lowest_of(ranks);
        }
        true
    }
}

#[inline]
fn rank(pairs: &Pairs, left: u32, right: u32, at: usize) -> i32 {
    match pairs.get(left, right) {
        NO_MERGE => NO_RANK,
        id => (id << PLACE_BITS) as i32 | at as i32,
    }
}

#[inline]
fn lowest_of(ranks: &[i32]) -> i32 {
    ranks.iter().copied().fold(NO_RANK, i32::min)
}
