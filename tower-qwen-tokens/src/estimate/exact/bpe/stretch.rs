use super::{
    accept::Accept,
    borders::Borders,
    characters::{Character, Characters, SPACE_BEFORE},
    merge::Symbols,
    pairs::{NO_MERGE, Pairs},
    windows::merge_long,
};

/// Stretches of more symbols are merged in windows.
const LONG: usize = 512;

/// What a piece is encoded with.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) pairs: Pairs,
    pub(super) characters: Characters,
    pub(super) borders: Borders,
}

/// Symbols between two borders that no token spans, to be merged.
#[derive(Debug)]
pub(super) struct Stretch<'a, A> {
    tables: &'a Tables,
    symbols: Symbols,
    accept: &'a mut A,
}

/// A character that is not a symbol yet: the one after it may break it.
#[derive(Debug, Clone, Copy)]
struct Pending {
    start: usize,
    end: usize,
    last: char,
    character: Character,
    /// Starts as bytes, since a token may take a part of it.
    is_broken: bool,
    /// No token spans the border before it, as far as both its sides are not broken.
    is_cut_before: bool,
}

impl<'a, A: Accept> Stretch<'a, A> {
    pub(super) fn new(tables: &'a Tables, accept: &'a mut A) -> Self {
        Self {
            tables,
            symbols: Symbols::new(),
            accept,
        }
    }

    pub(super) fn accept(&mut self, ids: &[u32]) {
        self.accept.accept(ids);
    }

    /// What has taken the ids until now.
    pub(super) fn accepted(&self) -> &A {
        self.accept
    }

    /// Encodes a piece.
    pub(super) fn piece(&mut self, piece: &str, is_ascii: bool) {
        let pairs = &self.tables.pairs;
        self.symbols.reserve(piece.len());
        if !is_ascii {
            self.characters(piece);
        } else if piece.len() > LONG {
            // Windows make ranks of their own.
            let symbols: Vec<u32> = piece.bytes().map(|byte| pairs.byte(byte)).collect();
            merge_long(pairs, &symbols, |ids| self.accept.accept(ids));
        } else {
            self.symbols.push_ascii(pairs, piece.as_bytes());
            self.finish();
        }
    }

    fn characters(&mut self, piece: &str) {
        let tables = self.tables;
        let bytes = piece.as_bytes();
        let Some(mut pending) = self.first(piece) else {
            return;
        };
        let mut was_broken = false;
        let from = pending.end;
        for (offset, next) in piece[from..].char_indices() {
            let start = from + offset;
            let character = tables.characters.get(next);
            if tables.characters.breaks_before(
                &bytes[..start],
                pending.character,
                character,
                u32::from(next),
            ) {
                pending.is_broken = true;
            }
            let is_broken = if pending.last == ' ' {
                character.breaks_after_space()
            } else {
                character.breaks_after(pending.character)
            };
            self.push(bytes, &pending, was_broken);
            was_broken = pending.is_broken;
            pending = Pending {
                start,
                end: start + next.len_utf8(),
                last: next,
                character,
                is_broken: is_broken || next > '\u{ffff}',
                is_cut_before: tables.borders.no_token_spans(pending.last, next),
            };
        }
        self.push(bytes, &pending, was_broken);
        self.finish();
    }

    /// The first character, or a space and the one after it where the two are one symbol.
    fn first(&self, piece: &str) -> Option<Pending> {
        let mut characters = piece.chars();
        let first = characters.next()?;
        let pending = |last: char, end, character| Pending {
            start: 0,
            end,
            last,
            character,
            is_broken: last > '\u{ffff}',
            is_cut_before: false,
        };
        if first == ' '
            && let Some(second) = characters.next()
            // Beyond the plane a code point does not fit into a pair.
            && second <= '\u{ffff}'
        {
            let id = self.tables.pairs.get(SPACE_BEFORE, u32::from(second));
            if id != NO_MERGE {
                let character = self.tables.characters.get(second).with_token(id);
                return Some(pending(second, 1 + second.len_utf8(), character));
            }
        }
        Some(pending(
            first,
            first.len_utf8(),
            self.tables.characters.get(first),
        ))
    }

    #[inline]
    fn push(&mut self, piece: &[u8], pending: &Pending, was_broken: bool) {
        if pending.is_cut_before && !pending.is_broken && !was_broken {
            self.finish();
        }
        match pending.character.token() {
            Some(id) if !pending.is_broken => self.symbols.push(&self.tables.pairs, id),
            _ => {
                let pairs = &self.tables.pairs;
                for &byte in &piece[pending.start..pending.end] {
                    self.symbols.push(pairs, pairs.byte(byte));
                }
            }
        }
    }

    /// Merges what is here, and hands it on.
    #[inline]
    fn finish(&mut self) {
        let pairs = &self.tables.pairs;
        if self.symbols.get().len() > LONG {
            merge_long(pairs, self.symbols.get(), |ids| self.accept.accept(ids));
        } else {
            self.symbols.merge(pairs);
            self.accept.accept(self.symbols.get());
        }
        self.symbols.clear();
    }
}
