use std::sync::Arc;

use super::classes::{Bytes, CELLS, COLUMNS, Class, FIRST, START, WIDE_CLASSES, column};

const CLASSES: usize = 64 * 64;
const PAIRS: usize = 128 * 128;
/// Bytes of ASCII that are taken in one step.
// One word of the processor: whether it is ASCII is one test.
const CHUNK: usize = 8;
const WIDE: usize = WIDE_CLASSES * COLUMNS;
// Powers of two, 13 and 12 bits: what `three` and `two` leave of a hash. With all other weights
// they stay in the first caches of a processor.
const THREES: usize = 1 << 13;
const TWOS: usize = 1 << 12;
/// Weights are in this part of a token, save those of wide characters, which are in half of it.
const SCALE: i64 = 128;
/// Spreads keys over cells: 2^32 by the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;
/// Bytes of the longest token.
// The run of 128 spaces.
const LONGEST: u64 = 128;
/// Marks on one character that cost nothing: together they are a character of the vocabulary.
const COMPOSED: u32 = 2;
/// Each mark beyond [`COMPOSED`]: nearly two tokens.
// No token holds a base with three marks, so each further mark is spelled in bytes.
const PILED: i64 = 230;

/// The fitted weights: by class before and class (`u8`); by wide class and column (`u8`); corrections by the last three
/// characters where the last is ASCII (`i8`), and by the last two where it is wide (`i8`).
static WEIGHTS: &[u8; CLASSES + WIDE + THREES + TWOS] = include_bytes!("weights.bin");
/// By the codes of two characters, so that the scan need not look up their classes.
static BY_PAIR: [u8; PAIRS] = pairs();
/// By the group of the character before and the class.
static BY_CELL: [u8; CELLS] = cells();
static BY_THREE: [u8; THREES] = part(CLASSES + WIDE);
static BY_TWO: [u8; TWOS] = part(CLASSES + WIDE + THREES);

/// Counts or estimates the tokens of a text.
///
/// [`Heuristic`] is the built-in one. An implementation is called on the path of every request: it should take
/// microseconds.
///
/// ```
/// use tower_qwen_tokens::estimate::Estimate;
///
/// struct FourBytes;
///
/// impl Estimate for FourBytes {
///     fn estimate(&self, text: &str) -> u64 {
///         (text.len() as u64).div_ceil(4)
///     }
/// }
///
/// assert_eq!(FourBytes.estimate("twelve bytes"), 3);
/// ```
pub trait Estimate: Send + Sync {
    /// The tokens of `text`.
    fn estimate(&self, text: &str) -> u64;
}

/// The estimator without a vocabulary; see the [module](super).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heuristic;

/// What one pass over a text finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    weight: i64,
    /// Bytes of CJK scripts.
    pub(super) cjk: u64,
    /// Bytes of scripts that are neither Latin nor CJK.
    pub(super) other: u64,
}

/// What the scan has summed up so far.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    weight: i64,
    bytes: Bytes,
}

/// What the weight of the next character depends on.
#[derive(Debug, Clone, Copy)]
struct Before {
    class: Class,
    /// The class of the character before it.
    earlier: Class,
    last: u32,
    /// Marks on the last character.
    marks: u32,
}

/// Estimated tokens of a text in the Qwen2 and Qwen3 vocabulary.
///
/// One pass, no allocation. At least 1 unless the text is empty, and never more than its bytes.
///
/// ```
/// use tower_qwen_tokens::estimate::estimate_text;
///
/// assert_eq!(estimate_text("The quick brown fox jumps over the lazy dog."), 11);
/// assert_eq!(estimate_text(""), 0);
/// ```
#[must_use]
pub fn estimate_text(text: &str) -> u64 {
    scan(text).tokens(text)
}

pub(super) fn scan(text: &str) -> Scan {
    let mut sums = Sums::default();
    let mut before = Before {
        class: START,
        earlier: Class::of_ascii(0),
        last: u32::from('\n'),
        marks: 0,
    };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        rest = before.narrow(rest, &mut sums);
        rest = before.wide(rest, &mut sums);
    }
    Scan {
        weight: sums.weight,
        cjk: sums.bytes.cjk(),
        other: sums.bytes.other(),
    }
}

/// The last `count` bits of a byte of a wide character.
fn bits(byte: u8, count: u32) -> u32 {
    u32::from(byte) & ((1 << count) - 1)
}

impl Before {
    /// Takes the ASCII characters at the start of a text and gives back the rest.
    #[inline(always)]
    fn narrow<'a>(&mut self, mut text: &'a [u8], sums: &mut Sums) -> &'a [u8] {
        if !text.first().is_some_and(u8::is_ascii) {
            return text;
        }
        let mut codes = self.earlier.code() << 7 | self.class.code();
        let mut weight = sums.weight;
        let mut take = |byte: u8| {
            codes = codes << 7 | u32::from(byte & 0x7f);
            weight += i64::from(BY_PAIR[codes as usize % PAIRS]) + signed(BY_THREE[three(codes)]);
        };
        while let Some((chunk, rest)) = text.split_first_chunk::<CHUNK>()
            && chunk.is_ascii()
        {
            chunk.iter().copied().for_each(&mut take);
            text = rest;
        }
        while let [byte @ ..0x80, ref rest @ ..] = *text {
            take(byte);
            text = rest;
        }
        sums.weight = weight;
        *self = Self {
            class: Class::of_ascii(codes as u8),
            earlier: Class::of_ascii((codes >> 7) as u8),
            last: codes & 0x7f,
            marks: 0,
        };
        text
    }

    /// Takes the other characters at the start of a text and gives back the rest.
    #[inline(always)]
    fn wide<'a>(&mut self, mut text: &'a [u8], sums: &mut Sums) -> &'a [u8] {
        loop {
            let (code, class);
            (code, class, text) = match *text {
                [first @ 0xc0..0xe0, second, ref rest @ ..] => {
                    let code = bits(first, 5) << 6 | bits(second, 6);
                    (code, Class::of_two_bytes(code), rest)
                }
                [first @ 0xe0..0xf0, second, third, ref rest @ ..] => {
                    let code = bits(first, 4) << 12 | bits(second, 6) << 6 | bits(third, 6);
                    (code, Class::of_wide(code), rest)
                }
                [first @ 0xf0..=0xff, second, third, fourth, ref rest @ ..] => {
                    let low = bits(second, 6) << 12 | bits(third, 6) << 6 | bits(fourth, 6);
                    let code = bits(first, 3) << 18 | low;
                    (code, Class::of_wide(code), rest)
                }
                // A text ends with a whole character.
                _ => return text,
            };
            let Some(class) = class else {
                self.marks = self.marks.saturating_add(1);
                sums.weight += if self.marks > COMPOSED { PILED } else { 0 };
                continue;
            };
            let weight = BY_CELL[class.cell(self.class) % CELLS];
            sums.weight += 2 * i64::from(weight) + signed(BY_TWO[two(self.last, code)]);
            sums.bytes.add(class);
            *self = Self {
                class,
                earlier: self.class,
                last: code,
                marks: 0,
            };
        }
    }
}

impl Scan {
    pub(super) fn tokens(&self, text: &str) -> u64 {
        let bytes = text.len() as u64;
        let tokens = (self.weight + SCALE / 2) / SCALE;
        // No token is longer than `LONGEST`, none shorter than one byte.
        u64::try_from(tokens)
            .unwrap_or(0)
            .clamp(bytes.div_ceil(LONGEST), bytes)
    }
}

impl Estimate for Heuristic {
    fn estimate(&self, text: &str) -> u64 {
        estimate_text(text)
    }
}

impl<E: Estimate + ?Sized> Estimate for &E {
    fn estimate(&self, text: &str) -> u64 {
        (**self).estimate(text)
    }
}

impl<E: Estimate + ?Sized> Estimate for Arc<E> {
    fn estimate(&self, text: &str) -> u64 {
        (**self).estimate(text)
    }
}

/// The cell of the last three characters.
fn three(codes: u32) -> usize {
    // 11 = 32 - 3 × 7 drops the characters before the last three; 19 = 32 - 13.
    ((codes << 11).wrapping_mul(SPREAD) >> 19) as usize
}

/// The cell of the last two.
fn two(last: u32, code: u32) -> usize {
    // A code point has 21 bits; what overflows is spread all the same. 20 = 32 - 12.
    (code.wrapping_add(last << 15).wrapping_mul(SPREAD) >> 20) as usize
}

fn signed(weight: u8) -> i64 {
    i64::from(i8::from_ne_bytes([weight]))
}

const fn pairs() -> [u8; PAIRS] {
    let mut pairs = [0; PAIRS];
    let mut pair = 0;
    while pair < PAIRS {
        let (before, class) = (FIRST[pair / 128], FIRST[pair % 128]);
        pairs[pair] = WEIGHTS[before as usize * 64 + class as usize];
        pair += 1;
    }
    pairs
}

const fn cells() -> [u8; CELLS] {
    let mut cells = [0; CELLS];
    let mut cell = 0;
    while cell < CELLS {
        let (class, column) = column(cell);
        cells[cell] = WEIGHTS[CLASSES + class * COLUMNS + column];
        cell += 1;
    }
    cells
}

const fn part<const N: usize>(from: usize) -> [u8; N] {
    let mut part = [0; N];
    let mut at = 0;
    while at < N {
        part[at] = WEIGHTS[from + at];
        at += 1;
    }
    part
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        BY_THREE, BY_TWO, CLASSES, COLUMNS, COMPOSED, Class, FIRST, PILED, START, WEIGHTS, column,
        scan, signed, three, two,
    };

    /// The weight of a text by its definition, character by character.
    fn plain(text: &str) -> i64 {
        let (mut before, mut last, mut codes, mut marks) = (START, 10, 10, 0);
        let mut weight = 0;
        for c in text.chars().map(u32::from) {
            if c < 128 {
                codes = codes << 7 | c;
                let pair = usize::from(FIRST[(codes >> 7 & 127) as usize]) * 64
                    + usize::from(FIRST[c as usize]);
                weight += i64::from(WEIGHTS[pair]) + signed(BY_THREE[three(codes)]);
                before = Class::of_ascii(c as u8);
            } else if let Some(class) = Class::of_wide(c) {
                codes = codes << 7 | class.code();
                let (row, column) = column(class.cell(before));
                weight += 2 * i64::from(WEIGHTS[CLASSES + row * COLUMNS + column])
                    + signed(BY_TWO[two(last, c)]);
                before = class;
            } else {
                marks += 1;
                weight += if marks > COMPOSED { PILED } else { 0 };
                continue;
            }
            (last, marks) = (c, 0);
        }
        weight
    }

    proptest! {
        #[test]
        fn runs_weigh_what_their_characters_do(text in "([a-zA-Z0-9 .,\n]{0,20}|[éüßạđ]{0,3}|[а-яё]{0,9}|[ا-ي]{0,9}|[अ-ह\u{93e}-\u{94d}]{0,9}|[ก-ฮ\u{e31}-\u{e3a}]{0,9}|[漢字]{0,9}|[かカ한。]{0,9}|[😀🦀]{0,3}|[\u{300}-\u{304}]{0,4}|.{0,3}){0,12}") {
            prop_assert_eq!(scan(&text).weight, plain(&text));
        }

        #[test]
        fn anything_weighs_what_its_characters_do(text in any::<String>()) {
            prop_assert_eq!(scan(&text).weight, plain(&text));
        }
    }
}
