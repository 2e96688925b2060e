use std::sync::Arc;

use super::classes::{COLUMNS, Class, FIRST, START, WIDE_CLASSES};

const CLASSES: usize = 64 * 64;
const PAIRS: usize = 128 * 128;
/// Bytes of ASCII that are taken in one step.
const CHUNK: usize = 8;
const WIDE: usize = WIDE_CLASSES * COLUMNS;
const THREES: usize = 1 << 13;
const TWOS: usize = 1 << 12;
/// Weights are in this part of a token, save those of wide characters, which are in half of it.
const SCALE: i64 = 128;
/// Spreads keys over cells: 2^32 by the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;
/// Bytes of the longest token.
const LONGEST: u64 = 128;
/// Marks on one character that cost nothing: together they are a character of the vocabulary.
const COMPOSED: u32 = 2;
/// Each further one: nearly two tokens.
const PILED: i64 = 230;

/// The fitted weights: by class before and class (`u8`); by wide class and column (`u8`); corrections by the last three
/// characters where the last is ASCII (`i8`), and by the last two where it is wide (`i8`).
static WEIGHTS: &[u8; CLASSES + WIDE + THREES + TWOS] = include_bytes!("weights.bin");
/// By the codes of two characters, so that the scan need not look up their classes.
static BY_PAIR: [u8; PAIRS] = pairs();
/// As many as a power of two, so that the scan need not check.
static BY_WIDE: [u8; 64 * COLUMNS] = part(CLASSES);
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
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scan {
    weight: i64,
    /// Bytes of CJK scripts.
    pub(super) cjk: u64,
    /// Bytes of scripts that are neither Latin nor CJK.
    pub(super) other: u64,
}

/// What the weight of the next character depends on.
#[derive(Debug, Clone, Copy)]
struct Before {
    class: Class,
    /// Marks on the last character.
    marks: u32,
    last: u32,
    /// The last characters, of 7 bits each: see [`Class::code`].
    codes: u32,
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
    let mut found = Scan::default();
    let mut before = Before {
        class: START,
        marks: 0,
        last: u32::from('\n'),
        codes: u32::from('\n'),
    };
    let mut rest = text.as_bytes();
    loop {
        rest = match *rest {
            [first @ 0xe1..=0xef, second, third, ref rest @ ..] => {
                let code = bits(first, 4) << 12 | bits(second, 6) << 6 | bits(third, 6);
                before.wide(code, Class::of_three_bytes(code), &mut found);
                rest
            }
            [byte, ref rest @ ..] if byte.is_ascii() => {
                found.weight += before.narrow(byte);
                let (chunks, _) = rest.as_chunks::<CHUNK>();
                let mut length = 0;
                for chunk in chunks.iter().take_while(|chunk| chunk.is_ascii()) {
                    for &byte in chunk {
                        found.weight += before.narrow(byte);
                    }
                    length += CHUNK;
                }
                rest.get(length..).unwrap_or_default()
            }
            [first @ ..0xe0, second, ref rest @ ..] => {
                let code = bits(first, 5) << 6 | bits(second, 6);
                before.wide(code, Class::of_wide(code), &mut found);
                rest
            }
            [first @ ..0xf0, second, third, ref rest @ ..] => {
                let code = bits(first, 4) << 12 | bits(second, 6) << 6 | bits(third, 6);
                before.wide(code, Class::of_wide(code), &mut found);
                rest
            }
            [first, second, third, fourth, ref rest @ ..] => {
                let code = bits(first, 3) << 18
                    | bits(second, 6) << 12
                    | bits(third, 6) << 6
                    | bits(fourth, 6);
                before.wide(code, Class::of_wide(code), &mut found);
                rest
            }
            // A text ends with a whole character.
            _ => return found,
        };
    }
}

/// The last `count` bits of a byte of a wide character.
fn bits(byte: u8, count: u32) -> u32 {
    u32::from(byte) & ((1 << count) - 1)
}

impl Before {
    /// Takes an ASCII character and gives back its weight.
    #[inline(always)]
    fn narrow(&mut self, byte: u8) -> i64 {
        let codes = self.codes << 7 | u32::from(byte & 0x7f);
        *self = Self {
            class: Class::of_ascii(byte),
            marks: 0,
            last: byte.into(),
            codes,
        };
        i64::from(BY_PAIR[codes as usize % PAIRS]) + signed(BY_THREE[three(codes)])
    }

    /// Takes any other character; without a class it is a mark on the one before.
    #[inline(always)]
    fn wide(&mut self, code: u32, class: Option<Class>, found: &mut Scan) {
        let Some(class) = class else {
            self.marks = self.marks.saturating_add(1);
            found.weight += if self.marks > COMPOSED { PILED } else { 0 };
            return;
        };
        let weight = BY_WIDE[class.cell(self.class) % BY_WIDE.len()];
        found.weight += 2 * i64::from(weight) + signed(BY_TWO[two(self.last, code)]);
        found.cjk += class.cjk();
        found.other += class.other();
        *self = Self {
            class,
            marks: 0,
            last: code,
            codes: self.codes << 7 | class.code(),
        };
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
    ((codes << 11).wrapping_mul(SPREAD) >> 19) as usize
}

/// The cell of the last two.
fn two(last: u32, code: u32) -> usize {
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

const fn part<const N: usize>(from: usize) -> [u8; N] {
    let mut part = [0; N];
    let mut at = 0;
    while at < N {
        part[at] = WEIGHTS[from + at];
        at += 1;
    }
    part
}
