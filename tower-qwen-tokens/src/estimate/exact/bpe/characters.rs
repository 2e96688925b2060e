use std::ops::RangeInclusive;

use super::{
    crossing::{Crossing, starting_with},
    merges::Merges,
    pairs::{Pairs, filled},
    token_bytes::TokenBytes,
};

/// The Basic Multilingual Plane. What is beyond (mostly emoji) starts as bytes.
const PLANE: usize = 1 << 16;

const NO_TOKEN: u32 = (1 << 18) - 1;
const AFTER_SPACE: u32 = 1 << 18;
const AFTER_ANY: u32 = 1 << 19;
const BEFORE_PART: u32 = 1 << 20;
const DOUBT: u32 = 1 << 21;

/// A character as the first symbol of a text: its token, and what may break it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Character(u32);

/// Characters that are one symbol from the start.
#[derive(Debug)]
pub(super) struct Characters {
    plane: Box<[u32; PLANE]>,
    /// Tokens that begin with the last bytes of a character.
    tails: Vec<Tail>,
    /// The last bytes of all tails, by their lower six bits.
    last_bytes: u64,
}

#[derive(Debug)]
struct Tail {
    bytes: Vec<u8>,
    next: RangeInclusive<u32>,
    id: u32,
}

impl Character {
    /// Beyond the plane everything may break.
    const BEYOND: Self = Self(NO_TOKEN | AFTER_SPACE | AFTER_ANY | BEFORE_PART | DOUBT);

    /// The token of the whole character.
    #[inline]
    pub(super) fn token(self) -> Option<u32> {
        let id = self.id();
        (id != NO_TOKEN).then_some(id)
    }

    /// The same with another token.
    #[inline]
    pub(super) fn with_token(self, id: u32) -> Self {
        Self(self.0 & !NO_TOKEN | id)
    }

    /// Whether its first bytes may join a space before it.
    #[inline]
    pub(super) fn breaks_after_space(self) -> bool {
        self.0 & AFTER_SPACE != 0
    }

    /// Whether its first bytes may join the character before it, which is no space.
    #[inline]
    pub(super) fn breaks_after(self, before: Self) -> bool {
        self.0 & AFTER_ANY != 0 && before.0 & BEFORE_PART != 0
    }

    /// No token: later than any other.
    #[inline]
    fn id(self) -> u32 {
        self.0 & NO_TOKEN
    }
}

impl Characters {
    pub(super) fn new(tokens: &TokenBytes, crossings: &[Crossing<'_>]) -> Self {
        let mut characters = Self {
            plane: filled(NO_TOKEN),
            tails: Vec::new(),
            last_bytes: 0,
        };
        for (id, token) in tokens.iter().filter(|(_, token)| token.len() <= 3) {
            if let Some(character) = only_character(token) {
                let at = character as usize;
                characters.plane[at] = characters.plane[at] & !NO_TOKEN | id;
            }
        }
        for crossing in crossings {
            if !crossing.tail.is_empty() {
                characters.add_tail(crossing);
            }
            if !crossing.head.is_empty() {
                characters.add_head(crossing);
            }
        }
        characters
    }

    /// What is known of a character.
    #[inline]
    pub(super) fn get(&self, character: char) -> Character {
        self.plane
            .get(character as usize)
            .map_or(Character::BEYOND, |&known| Character(known))
    }

    /// Whether a token of a lower id may take the last bytes of `broken` together with `next`. `before` is the text up to the
    /// border between the two.
    #[inline]
    pub(super) fn breaks_before(
        &self,
        before: &[u8],
        broken: Character,
        next: Character,
        code_point: u32,
    ) -> bool {
        next.0 & DOUBT != 0
            && before
                .last()
                .is_some_and(|last| self.last_bytes >> (last & 63) & 1 == 1)
            && self.tails.iter().any(|tail| {
                tail.id < broken.id()
                    && tail.next.contains(&code_point)
                    && before.ends_with(&tail.bytes)
            })
    }

    fn add_tail(&mut self, crossing: &Crossing<'_>) {
        let next = crossing.after_tail();
        for code_point in within_plane(next.clone()) {
            self.plane[code_point] |= DOUBT;
        }
        let last = crossing.tail.last().map_or(0, |last| last & 63);
        self.last_bytes |= 1 << last;
        self.tails.push(Tail {
            bytes: crossing.tail.to_vec(),
            next,
            id: crossing.id,
        });
    }

    fn add_head(&mut self, crossing: &Crossing<'_>) {
        let flag = match crossing.whole.chars().next_back() {
            Some(' ') => AFTER_SPACE,
            Some(before) => {
                self.plane[(before as usize).min(PLANE - 1)] |= BEFORE_PART;
                AFTER_ANY
            }
            None => {
                // Every character that ends with the last byte of the tail: more than need be, which does no harm.
                let last = crossing.tail.last().map_or(0, |last| last & 0x3f);
                for known in self.plane.iter_mut().skip(usize::from(last)).step_by(64) {
                    *known |= BEFORE_PART;
                }
                AFTER_ANY
            }
        };
        for code_point in within_plane(starting_with(crossing.head)) {
            // Once the character is whole, only it as a whole can be merged.
            if crossing.id < self.plane[code_point] & NO_TOKEN {
                self.plane[code_point] |= flag;
            }
        }
    }
}

fn within_plane(code_points: RangeInclusive<u32>) -> std::ops::Range<usize> {
    let end = (*code_points.end() as usize + 1).min(PLANE);
    (*code_points.start() as usize).min(end)..end
}

fn only_character(token: &[u8]) -> Option<char> {
    let mut characters = std::str::from_utf8(token).ok()?.chars();
    let first = characters.next()?;
    characters.next().is_none().then_some(first)
}

/// In place of the left id of a pair whose right is the code point of a character: the two are a space and the character.
pub(super) const SPACE_BEFORE: u32 = NO_TOKEN;

/// Adds the tokens of a space and one character whose first part is the space with the first bytes of the character: such a
/// token is whole before anything else can be merged, so it is one symbol from the start.
pub(super) fn insert_spaced(pairs: &mut Pairs, merges: &Merges, tokens: &TokenBytes) {
    for (id, left, _) in merges.iter() {
        let token = tokens.of(id);
        if let [b' ', character @ ..] = token
            && token.len() <= 4
            && tokens.of(left).len() > 1
            && let Some(character) = only_character(character)
        {
            pairs.insert(SPACE_BEFORE, character as u32, id);
        }
    }
}
