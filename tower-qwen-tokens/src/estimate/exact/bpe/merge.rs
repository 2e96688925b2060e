use super::pairs::{NO_MERGE, Pairs};

/// Merges symbols until no two neighbours are a merge: the lowest id first, of equal ones the leftmost.
///
/// `ranks` is a buffer. `merged` is called with the place of each merge.
#[inline]
pub(super) fn merge(
    pairs: &Pairs,
    symbols: &mut Vec<u32>,
    ranks: &mut Vec<u32>,
    mut merged: impl FnMut(usize),
) {
    ranks.clear();
    ranks.extend(symbols.windows(2).map(|two| pairs.get(two[0], two[1])));
    loop {
        let Some((at, id)) = lowest(ranks) else {
            return;
        };
        symbols[at] = id;
        symbols.remove(at + 1);
        ranks.remove(at);
        merged(at);
        if let Some(&next) = symbols.get(at + 1) {
            ranks[at] = pairs.get(id, next);
        }
        if let Some(before) = at.checked_sub(1) {
            ranks[before] = pairs.get(symbols[before], id);
        }
    }
}

#[inline]
fn lowest(ranks: &[u32]) -> Option<(usize, u32)> {
    let mut lowest = NO_MERGE;
    let mut place = 0;
    for (at, &rank) in ranks.iter().enumerate() {
        if rank < lowest {
            lowest = rank;
            place = at;
        }
    }
    (lowest != NO_MERGE).then_some((place, lowest))
}
