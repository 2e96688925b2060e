//! Long stretches in linear time.
//!
//! A merge compares all ranks of its stretch, so the time grows with the square of the length. A long one is merged in windows.
//!
//! It is exact: a sequence of tokens is *the* encoding of its bytes if every two neighbours are the encoding of theirs. The
//! next window begins where one of the last tokens of this one begins. If it begins with that same token, the two neighbours
//! at the seam were side by side in this window already, so the seam is right. If not, the seam is tried earlier.

use super::{merge::Symbols, pairs::Pairs};

/// A window. Unit: symbols.
// The longest token has 128 bytes, so that a window holds two of them at least.
const WINDOW: usize = 256;
/// The first seam that is tried lies this many tokens before the end of a window. At least two: the
/// last token may have been cut by the window's end, so it is not compared.
const OVERLAP: usize = 2;

/// One window, merged.
#[derive(Debug, Default)]
struct Window {
    tokens: Vec<u32>,
    /// How many symbols are before each token.
    places: Vec<usize>,
}

/// Merges a long stretch, and hands its tokens on from the first to the last.
pub(super) fn merge_long(pairs: &Pairs, symbols: &[u32], accept: impl FnMut(&[u32])) {
    merge_in(WINDOW, pairs, symbols, accept);
}

fn merge_in(size: usize, pairs: &Pairs, symbols: &[u32], mut accept: impl FnMut(&[u32])) {
    let mut size = size;
    let mut rest = symbols;
    let mut window = Window::new(pairs, head(rest, size));
    while rest.len() > size {
        let seam = window.seams().find_map(|(before, at)| {
            let next = head(&rest[at..], size);
            // A run of one character is the same window over and over.
            let after = (next != head(rest, size)).then(|| Window::new(pairs, next));
            let first = after.as_ref().unwrap_or(&window).tokens.first();
            (first == window.tokens.get(before)).then_some((before, at, after))
        });
        let Some((before, at, after)) = seam else {
            // At the size of the whole stretch no seam is needed.
            size *= 2;
            window = Window::new(pairs, head(rest, size));
            continue;
        };
        accept(&window.tokens[..before]);
        rest = &rest[at..];
        window = after.unwrap_or(window);
    }
    accept(&window.tokens);
}

fn head(symbols: &[u32], size: usize) -> &[u32] {
    &symbols[..size.min(symbols.len())]
}

impl Window {
    fn new(pairs: &Pairs, symbols: &[u32]) -> Self {
        let mut all = Symbols::new();
        for &symbol in symbols {
            all.push(pairs, symbol);
        }
        let places = all.merge_with_places(pairs);
        let tokens = all.get().to_vec();
        Self { tokens, places }
    }

    /// The places at which the next window may begin, from the last to the first: how many tokens are before it, and how
    /// many symbols.
    fn seams(&self) -> impl Iterator<Item = (usize, usize)> {
        // Doubled, so that a window without a seam is given up after few tries.
        let overlaps = std::iter::successors(Some(OVERLAP), |overlap| Some(overlap * 2));
        overlaps.map_while(|overlap| {
            let before = self.tokens.len().checked_sub(overlap)?;
            (before > 0).then(|| (before, self.places[before]))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::{
        super::{merges::Merges, pairs::NO_MERGE},
        Pairs, Window, merge_in,
    };

    fn pairs() -> &'static Pairs {
        static PAIRS: LazyLock<Pairs> = LazyLock::new(|| Pairs::new(&Merges::read()));
        &PAIRS
    }

    /// The rule itself.
    fn merge_plainly(pairs: &Pairs, symbols: &[u32]) -> Vec<u32> {
        let mut symbols = symbols.to_vec();
        loop {
            let pairs = symbols.windows(2).map(|two| pairs.get(two[0], two[1]));
            let Some((id, at)) = pairs.zip(0..).min().filter(|&(id, _)| id != NO_MERGE) else {
                return symbols;
            };
            symbols[at] = id;
            symbols.remove(at + 1);
        }
    }

    fn same_in_windows(size: usize, symbols: &[u32]) {
        let mut tokens = Vec::new();
        merge_in(size, pairs(), symbols, |more| {
            tokens.extend_from_slice(more);
        });
        let plain = merge_plainly(pairs(), symbols);
        assert_eq!(tokens, plain);
        assert_eq!(Window::new(pairs(), symbols).tokens, plain);
    }

    #[test]
    fn runs_are_merged_as_in_one_go() {
        // `!`, a space, a letter, a line break, and a byte that is no character.
        for unit in [
            &[0_u32][..],
            &[220],
            &[64],
            &[198],
            &[188],
            &[64, 65, 66],
            &[220, 198],
        ] {
            for count in [1, 7, 100, 999] {
                same_in_windows(160, &unit.repeat(count));
            }
        }
    }

    #[test]
    fn a_window_without_a_seam_grows() {
        // A token of 128 spaces is longer than the window.
        same_in_windows(8, &[220; 500]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_symbols_are_merged_as_in_one_go(symbols in prop::collection::vec(prop_oneof![64_u32..90, 0..256_u32, 0..2_000_u32], 1..700), size in 16_usize..200) {
            same_in_windows(size, &symbols);
        }
    }
}
