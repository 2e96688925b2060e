use regex_syntax::hir::{Class, HirKind};
use unicode_normalization::{IsNormalized, char::canonical_combining_class, is_nfc_quick};

/// The Basic Multilingual Plane, where a table answers; beyond it, lists do.
const PLANE: usize = 1 << 16;

const LETTER: u8 = 1;
const NUMBER: u8 = 2;
const SPACE: u8 = 3;
const CLASS: u8 = 3;
const MARK: u8 = 4;
const UNSTABLE: u8 = 8;
/// Of a first byte: its characters differ.
const MIXED: u8 = 16;
const MIXED_NORMAL: u8 = 32;
/// Of a first byte: how many follow.
const FOLLOWING: u32 = 6;

/// A character as the vocabulary's pattern sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CharacterClass {
    Letter,
    Number,
    Space,
    Other,
}

/// What NFC may do with a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Normal {
    /// It stays, and no character before it goes over it.
    Inert,
    /// It stays, but may change places with marks beside it.
    Mark,
    /// It may change, or join the one before it.
    Unstable,
}

/// What all characters with this first byte of UTF-8 have in common: spares the common ones the decoding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lead(u8);

impl Lead {
    /// The class, if all have the same.
    #[inline]
    pub(super) fn class(self) -> Option<CharacterClass> {
        (self.0 & MIXED == 0).then(|| class(self.0))
    }

    /// Whether all are inert.
    #[inline]
    pub(super) fn is_inert(self) -> bool {
        self.0 & (MIXED_NORMAL | MARK | UNSTABLE) == 0
    }

    /// The bytes of each.
    #[inline]
    pub(super) fn length(self) -> usize {
        usize::from(self.0 >> FOLLOWING) + 1
    }
}

/// The classes of all characters, as the tables of `regex` have them.
#[derive(Debug)]
pub(super) struct Classes {
    plane: Box<[u8]>,
    leads: [Lead; 256],
    letters: Vec<(char, char)>,
    numbers: Vec<(char, char)>,
}

impl Classes {
    pub(super) fn new() -> Self {
        let letters = ranges(r"\p{L}");
        let numbers = ranges(r"\p{N}");
        let mut plane = vec![0; PLANE];
        for (class, ranges) in [
            (LETTER, &letters),
            (NUMBER, &numbers),
            (SPACE, &ranges(r"\s")),
        ] {
            for &(start, end) in ranges {
                let end = (end as usize + 1).min(PLANE);
                plane[(start as usize).min(end)..end].fill(class);
            }
        }
        for (class, character) in plane.iter_mut().zip(0..) {
            *class |= match char::from_u32(character).map(normal) {
                Some(Normal::Unstable) => UNSTABLE,
                Some(Normal::Mark) => MARK,
                Some(Normal::Inert) | None => 0,
            };
        }
        Self {
            leads: leads(&plane),
            plane: plane.into_boxed_slice(),
            letters,
            numbers,
        }
    }

    #[inline]
    pub(super) fn lead(&self, byte: u8) -> Lead {
        self.leads[usize::from(byte)]
    }

    #[inline]
    pub(super) fn of(&self, character: char) -> CharacterClass {
        match self.plane.get(character as usize) {
            Some(&known) => class(known),
            None if is_in(&self.letters, character) => CharacterClass::Letter,
            None if is_in(&self.numbers, character) => CharacterClass::Number,
            None => CharacterClass::Other,
        }
    }

    #[inline]
    pub(super) fn normal(&self, character: char) -> Normal {
        match self.plane.get(character as usize) {
            Some(known) if known & UNSTABLE != 0 => Normal::Unstable,
            Some(known) if known & MARK != 0 => Normal::Mark,
            Some(_) => Normal::Inert,
            None => normal(character),
        }
    }
}

#[inline]
fn class(known: u8) -> CharacterClass {
    match known & CLASS {
        LETTER => CharacterClass::Letter,
        NUMBER => CharacterClass::Number,
        SPACE => CharacterClass::Space,
        _ => CharacterClass::Other,
    }
}

fn leads(plane: &[u8]) -> [Lead; 256] {
    let mut byte = 0_u8;
    [(); 256].map(|()| {
        let lead = lead(plane, byte);
        byte = byte.wrapping_add(1);
        lead
    })
}

fn lead(plane: &[u8], byte: u8) -> Lead {
    let (following, first) = match byte {
        0..0xc0 => (0, usize::from(byte)),
        0xc0..0xe0 => (1, usize::from(byte & 0x1f)),
        0xe0..0xf0 => (2, usize::from(byte & 0x0f)),
        0xf0.. => (3, PLANE),
    };
    let start = first << (6 * following);
    let known = match plane.get(start..start + (1 << (6 * following))) {
        Some(block) => {
            let differing = block.iter().fold(0, |bits, other| bits | other ^ block[0]);
            let mut known = block[0];
            if differing & CLASS != 0 {
                known |= MIXED;
            }
            if differing & (MARK | UNSTABLE) != 0 {
                known |= MIXED_NORMAL;
            }
            known
        }
        None => MIXED | MIXED_NORMAL,
    };
    Lead(known | following << FOLLOWING)
}

fn is_in(ranges: &[(char, char)], character: char) -> bool {
    let after = ranges.partition_point(|&(start, _)| start <= character);
    after > 0 && character <= ranges[after - 1].1
}

/// The ranges of a class of the pattern, in order.
fn ranges(class: &str) -> Vec<(char, char)> {
    let class = regex_syntax::parse(class).expect("a constant class is valid");
    match class.kind() {
        HirKind::Class(Class::Unicode(class)) => class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect(),
        _ => Vec::new(),
    }
}

fn normal(character: char) -> Normal {
    if is_inert(character) {
        Normal::Inert
    } else if is_nfc_quick(std::iter::once(character)) != IsNormalized::Yes {
        Normal::Unstable
    } else if canonical_combining_class(character) != 0 {
        Normal::Mark
    } else {
        Normal::Inert
    }
}

/// The common characters that are inert, without a look into tables: spares most of the work of a start.
fn is_inert(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{2ff}'
            | '\u{391}'..='\u{3ff}'
            | '\u{400}'..='\u{482}'
            | '\u{2010}'..='\u{2027}'
            | '\u{3001}'..='\u{3029}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{ff01}'..='\u{ffef}'
            | '\u{1f300}'..='\u{1faff}'
    )
}

#[cfg(test)]
mod tests {
    use unicode_normalization::{IsNormalized, char::canonical_combining_class, is_nfc_quick};

    use super::{CharacterClass, Classes, Normal};

    #[test]
    fn classes_are_those_of_the_standard_library_but_for_its_year() {
        let classes = Classes::new();
        for character in '\0'..=char::MAX {
            let class = classes.of(character);
            let is_space = class == CharacterClass::Space;
            assert_eq!(is_space, character.is_whitespace(), "{character:?}");
        }
        for (character, class) in [
            ('a', CharacterClass::Letter),
            ('中', CharacterClass::Letter),
            ('\u{20000}', CharacterClass::Letter),
            ('٣', CharacterClass::Number),
            ('\u{1d7d8}', CharacterClass::Number),
            ('\u{3000}', CharacterClass::Space),
            ('\u{93f}', CharacterClass::Other),
            ('🦀', CharacterClass::Other),
            ('\u{10ffff}', CharacterClass::Other),
        ] {
            assert_eq!(classes.of(character), class, "{character:?}");
        }
    }

    #[test]
    fn inert_characters_are_so_in_the_tables() {
        let classes = Classes::new();
        for character in '\0'..=char::MAX {
            let is_stable = is_nfc_quick(std::iter::once(character)) == IsNormalized::Yes;
            let is_mark = canonical_combining_class(character) != 0;
            let expected = match (is_stable, is_mark) {
                (false, _) => Normal::Unstable,
                (true, true) => Normal::Mark,
                (true, false) => Normal::Inert,
            };
            assert_eq!(classes.normal(character), expected, "{character:?}");
        }
    }
}
