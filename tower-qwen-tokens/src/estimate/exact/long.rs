//! Long pieces in linear time.
//!
//! The library encodes a piece with a heap over all its bytes: a megabyte without a break takes a second, and the time
//! grows faster than the text. Here such a piece is encoded in windows.
//!
//! It is exact: a sequence of tokens is *the* encoding of its bytes if every two neighbours are the encoding of theirs. The
//! next window begins where one of the last tokens of this one begins. If it begins with that same token, the two neighbours
//! at the seam stood side by side in this window already, so the seam is right. If not, the seam is tried earlier.

use std::{borrow::Cow, iter};

use tiktoken::CoreBpe;

use super::piece::Pieces;

/// Pieces from here on are encoded in windows. Unit: bytes.
// Below it the library is as fast as the windows are.
pub(super) const LONG: usize = 2048;
/// A window. Unit: bytes.
// The longest token has 128 bytes, so that a window holds eight tokens at least: room for a seam.
const WINDOW: usize = 1024;
/// The first seam that is tried lies this many tokens before the end of a window. At least two: the
/// last token may have been cut by the window's end, so it is not compared.
const OVERLAP: usize = 2;

/// Encodes one piece, and hands its tokens on from the first to the last.
///
/// `None` where no seam was found; what was handed on by then is void.
pub(super) fn encode(
    bpe: &CoreBpe,
    pieces: &Pieces,
    piece: &str,
    accept: impl FnMut(&[u32]),
) -> Option<()> {
    encode_in(WINDOW, bpe, pieces, piece, accept)
}

fn encode_in(
    window: usize,
    bpe: &CoreBpe,
    pieces: &Pieces,
    piece: &str,
    mut accept: impl FnMut(&[u32]),
) -> Option<()> {
    let mut rest = piece;
    let mut text = head(pieces, rest, window);
    let mut tokens = bpe.encode(&text);
    while rest.len() > window {
        let seam = seams(bpe, &text, &tokens).find_map(|(before, at)| {
            let next = head(pieces, &rest[at..], window);
            // A run of one character is the same window over and over.
            let after = if next == text {
                tokens.clone()
            } else {
                bpe.encode(&next)
            };
            (after.first() == tokens.get(before)).then_some((before, at, next, after))
        });
        let (before, at, next, after) = seam?;
        accept(&tokens[..before]);
        rest = &rest[at..];
        text = next;
        tokens = after;
    }
    accept(&tokens);
    Some(())
}

/// The start of a piece, so that it is one piece by itself.
///
/// White space with a line break in it is one only if it ends with one: there a line break is added, which ends up in the
/// last token.
fn head<'a>(pieces: &Pieces, piece: &'a str, window: usize) -> Cow<'a, str> {
    let text = &piece[..piece.floor_char_boundary(window)];
    if pieces.first(text).0 == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{text}\n"))
    }
}

/// The places between the tokens of a window at which the next one may begin, from the last to the first: how many tokens
/// are before it, and how many bytes.
fn seams(bpe: &CoreBpe, text: &str, tokens: &[u32]) -> impl Iterator<Item = (usize, usize)> {
    let mut overlap = OVERLAP;
    iter::from_fn(move || {
        loop {
            let before = tokens
                .len()
                .checked_sub(overlap)
                .filter(|&before| before > 0)?;
            let after = bpe.decode(&tokens[before..]).len();
            let at = text.len().checked_sub(after)?;
            if text.is_char_boundary(at) {
                // Doubled, so that a window without a seam is given up after few tries.
                overlap *= 2;
                return Some((before, at));
            }
            overlap += 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CoreBpe, Pieces, encode_in};

    fn bpe() -> &'static CoreBpe {
        tiktoken::get_encoding("qwen2").unwrap()
    }

    fn in_windows(piece: &str, window: usize) -> Option<Vec<u32>> {
        let mut tokens = Vec::new();
        encode_in(window, bpe(), &Pieces::new(), piece, |more| {
            tokens.extend_from_slice(more)
        })
        .map(|()| tokens)
    }

    #[test]
    fn runs_are_encoded_as_in_one_go() {
        for unit in [
            "a", "ab", "abc", "the", "ACGT", " ", "\t", "\n", " \n", "\r\n", "=", "-=", "...",
            "中", "中文", "한", "ひ", "ш", "न", "é", "🦀", "\u{301}", "/*", "aaaaaaab",
        ] {
            for count in [1, 7, 100, 999, 2048] {
                let piece = unit.repeat(count);
                assert_eq!(
                    in_windows(&piece, 512),
                    Some(bpe().encode(&piece)),
                    "{count} times {unit:?}"
                );
            }
        }
    }

    #[test]
    fn line_breaks_far_apart() {
        for gap in [1, 500, 511, 512, 513, 3000] {
            let piece = format!("\n{}", " ".repeat(gap)).repeat(9000 / gap) + "\r\n";
            assert_eq!(in_windows(&piece, 512), Some(bpe().encode(&piece)), "{gap}");
        }
    }

    #[test]
    fn no_seam_is_no_answer() {
        // Tokens of 128 spaces leave no room for a seam in so small a window.
        assert_eq!(in_windows(&" ".repeat(999), 128), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn words_are_encoded_as_in_one_go(piece in "[ ]?([a-z]{1,400}|[a-zA-Zé中文字한국어шщnы]{1,400}|[ab]{1,400}|[acgt]{1,400}|(ing|ed|un|the|er)[a-z]{0,3}){1,12}", window in 64_usize..600) {
            prop_assert_eq!(in_windows(&piece, window), Some(bpe().encode(&piece)));
        }

        #[test]
        fn marks_are_encoded_as_in_one_go(piece in "[ ]?[-=!.*/#🦀\u{301}，。]{2,1500}[\r\n]{0,300}", window in 64_usize..600) {
            prop_assert_eq!(in_windows(&piece, window), Some(bpe().encode(&piece)));
        }

        #[test]
        fn spaces_are_encoded_as_in_one_go(piece in "([ \t]{0,300}[\r\n]{1,3}){1,30}", window in 400_usize..600) {
            prop_assert_eq!(in_windows(&piece, window), Some(bpe().encode(&piece)));
        }
    }
}
