//! The words of a message that are known, found in one pass.

use super::{
    index::{Index, first_four},
    known_errors::KNOWN_ERRORS,
};

/// Words before a wait or an instant, written as the fragments of the table are.
const WAITS: &[&str] = &[
    "try again in",
    "try again after",
    "try again at",
    "again at",
    "retry after",
    "retryafter",
    "retry in",
    "retry at",
    "retrydelay",
    "reset after",
    "resets after",
    "reset in",
    "resets in",
    "reset at",
    "resets at",
    "reset on",
    "resets on",
    "regain access on",
    "available in",
    "available at",
    "wait",
    "将在",
    "将于",
    "请在",
    "请于",
];
/// Units behind a wait, where the language puts `in` there: `30 秒后`.
const AFTERS: &[&str] = &["秒后", "秒钟后", "秒後", "分后", "分钟后", "小时后", "天后"];
/// What a limit by the minute grants, and what a call wants of it.
const SIZES: &[&str] = &["limit", "requested"];

/// The patterns after the rows of the table, in this order.
const FIRST_WAIT: usize = KNOWN_ERRORS.len();
const FIRST_AFTER: usize = FIRST_WAIT + WAITS.len();
const FIRST_SIZE: usize = FIRST_AFTER + AFTERS.len();
const PATTERNS: usize = FIRST_SIZE + SIZES.len();

static INDEX: Index<{ count() }> = Index::new(keys());

/// A message has few such phrases; those that come first count.
const MAX_PLACES: usize = 8;

/// What a message says, as far as its words are known.
pub(super) struct Words<'a> {
    /// The message itself.
    pub(super) message: &'a str,
    /// One bit for each row of the table whose fragment is in it.
    rows: [u64; KNOWN_ERRORS.len().div_ceil(64)],
    places: [Place; MAX_PLACES],
    count: usize,
    limit: Option<u64>,
    requested: Option<u64>,
}

/// Where a wait may be read.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// From this byte on.
    After(usize),
    /// Up to this byte, the unit that ends there included.
    Before(usize),
}

impl<'a> Words<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        let mut words = Self {
            message,
            rows: [0; _],
            places: [Place::After(0); MAX_PLACES],
            count: 0,
            limit: None,
            requested: None,
        };
        // Byte for byte, so that a place in it is one in the message.
        let plain: Vec<u8> = message.bytes().map(plain).collect();
        let is_word = |byte: &u8| IS_WORD[usize::from(*byte)];
        let mut at = 0;
        while let Some(four) = plain.get(at..at + 4) {
            let begins = is_word(&four[0]);
            // Chinese has no blanks: a word may begin with each character.
            if (begins || four[0] >= 0xE0) && INDEX.may_have(first_four(four)) {
                words.read_at(&plain, at);
            }
            at += 1;
            if begins {
                let rest = plain[at..].iter();
                at += rest.take_while(|byte| is_word(byte)).count();
            }
        }
        words
    }

    /// The rows of the table whose fragments are in the message, in the table's order.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        (0..KNOWN_ERRORS.len()).filter(|row| self.rows[row / 64] >> (row % 64) & 1 == 1)
    }

    /// Whether the message begins with this, written as the fragments of the table are.
    pub(super) fn begin_with(&self, fragment: &str) -> bool {
        let start = self.message.bytes().take(fragment.len()).map(plain);
        start.eq(fragment.bytes())
    }

    /// Where a wait may be read, in the order of the message.
    pub(super) fn places(&self) -> &[Place] {
        &self.places[..self.count]
    }

    /// Whether the call wants more than a limit ever grants: `Limit 6000, Requested 9000`.
    pub(super) fn is_too_large(&self) -> bool {
        matches!((self.limit, self.requested), (Some(limit), Some(requested)) if requested > limit)
    }

    fn read_at(&mut self, plain: &[u8], at: usize) {
        let rest = &plain[at..];
        for number in INDEX.of(first_four(rest)) {
            let pattern = pattern(number);
            if !rest.starts_with(pattern.as_bytes()) {
                continue;
            }
            let end = at + pattern.len();
            match number {
                ..FIRST_WAIT => self.rows[number / 64] |= 1 << (number % 64),
                FIRST_WAIT..FIRST_AFTER => self.add(Place::After(end)),
                FIRST_AFTER..FIRST_SIZE => self.add(Place::Before(end)),
                FIRST_SIZE => self.limit = self.limit.or_else(|| amount(&plain[end..])),
                _ => self.requested = self.requested.or_else(|| amount(&plain[end..])),
            }
        }
    }

    fn add(&mut self, place: Place) {
        if let Some(free) = self.places.get_mut(self.count) {
            *free = place;
            self.count += 1;
        }
    }
}

/// The number that comes next: ` 6000`, `: 30,000`, ` ~12903`.
fn amount(plain: &[u8]) -> Option<u64> {
    let start = plain.iter().position(|byte| !b" :=~".contains(byte))?;
    let digits = plain[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b',');
    let digits = digits.filter(|byte| **byte != b',');
    digits.fold(None, |sum: Option<u64>, digit| {
        let sum = sum.unwrap_or(0).saturating_mul(10);
        Some(sum.saturating_add(u64::from(digit - b'0')))
    })
}

/// Letters in lower case, blanks for `-` and `_`: hosts write `5-hour`, `5 hour` and `5_hour`.
fn plain(byte: u8) -> u8 {
    match byte {
        b'-' | b'_' => b' ',
        other => other.to_ascii_lowercase(),
    }
}

/// Whether a byte belongs to a word of ASCII.
static IS_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

const fn pattern(number: usize) -> &'static str {
    if number < FIRST_WAIT {
        KNOWN_ERRORS[number].fragment
    } else if number < FIRST_AFTER {
        WAITS[number - FIRST_WAIT]
    } else if number < FIRST_SIZE {
        AFTERS[number - FIRST_AFTER]
    } else {
        SIZES[number - FIRST_SIZE]
    }
}

const fn count() -> usize {
    let (mut number, mut count) = (0, 0);
    while number < PATTERNS {
        if !pattern(number).is_empty() {
            count += 1;
        }
        number += 1;
    }
    count
}

const fn keys() -> [(u32, u16); count()] {
    let mut keys = [(0, 0); count()];
    let (mut number, mut at) = (0, 0);
    while number < PATTERNS {
        let pattern = pattern(number).as_bytes();
        if !pattern.is_empty() {
            keys[at] = (first_four(pattern), number as u16);
            at += 1;
        }
        number += 1;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_found_at_every_place() {
        for number in (0..FIRST_WAIT).filter(|number| !pattern(*number).is_empty()) {
            let fragment = pattern(number);
            let read: Vec<u8> = fragment.bytes().map(plain).collect();
            assert_eq!(fragment.as_bytes(), read, "as messages are read");
            for message in [
                fragment.to_uppercase(),
                format!("é, \"{fragment}\" x"),
                format!("中{fragment}"),
            ] {
                let words = Words::of(&message);
                assert!(words.rows().any(|row| row == number), "{message}");
            }
            let inside = format!("x{fragment}");
            let is_word = fragment.as_bytes()[0].is_ascii();
            assert_eq!(
                Words::of(&inside).rows().any(|row| row == number),
                !is_word,
                "{inside}"
            );
        }
    }

    #[test]
    fn what_is_larger_than_a_limit() {
        for (message, expected) in [
            ("TPM: Limit 6000, Requested 9000", true),
            ("Limit: 30,000 / min. Requested: 30,001.", true),
            ("Limit 15000, Used 11972, Requested 4351", false),
            ("the limit is 5, requested 9", false),
            ("Requested 9000", false),
            ("Limit , Requested ", false),
        ] {
            assert_eq!(Words::of(message).is_too_large(), expected, "{message}");
        }
    }

    #[test]
    fn of_many_phrases_the_first_count() {
        let words = Words::of(&"wait 5 s ".repeat(100)).places().len();
        assert_eq!(words, MAX_PLACES);
        assert_eq!(Words::of("").places().len(), 0);
    }
}
