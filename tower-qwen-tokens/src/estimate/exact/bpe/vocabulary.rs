use std::{borrow::Cow, cell::RefCell, sync::LazyLock};

use super::{
    borders::Borders,
    cache::Cache,
    characters::{Characters, insert_spaced},
    crossing::crossings,
    key::{Key, ShortKey},
    merges::Merges,
    pairs::Pairs,
    stretch::{Stretch, Tables},
    token_bytes::TokenBytes,
    words::Words,
};
use crate::estimate::exact::split::Splitter;

thread_local! {
    static CACHE: RefCell<Option<Cache>> = const { RefCell::new(None) };
}

/// The first byte of Chinese, Japanese and Korean characters, or above.
const CJK: u8 = 0xe3;

/// Everything that encodes a text. Held once per process.
#[derive(Debug)]
pub(in crate::estimate::exact) struct Vocabulary {
    splitter: Splitter,
    words: Words,
    tables: Tables,
}

impl Vocabulary {
    /// The vocabulary of this process, loaded at the first call.
    pub(in crate::estimate::exact) fn get() -> &'static Self {
        static LOADED: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::load);
        &LOADED
    }

    fn load() -> Self {
        let merges = Merges::read();
        let tokens = TokenBytes::new(&merges);
        let mut pairs = Pairs::new(&merges);
        insert_spaced(&mut pairs, &merges, &tokens);
        Self {
            splitter: Splitter::new(),
            words: Words::new(&tokens),
            tables: Tables {
                pairs,
                characters: Characters::new(&tokens, &crossings(&tokens)),
                borders: Borders::new(&tokens),
            },
        }
    }

    /// The text in NFC.
    pub(in crate::estimate::exact) fn nfc<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.splitter.nfc(text)
    }

    /// The ids of a text that is in NFC.
    pub(in crate::estimate::exact) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let bytes = text.as_bytes();
        let mut stretch = Stretch::new(&self.tables, ids);
        self.each_piece(text, |start, end, is_ascii| {
            match self.word(bytes, start, end, is_ascii) {
                Some(id) => stretch.accept(&[id]),
                None => stretch.piece(&text[start..end], is_ascii),
            }
        });
    }

    /// The number of tokens of a text that is in NFC.
    pub(in crate::estimate::exact) fn count(&self, text: &str) -> u64 {
        CACHE.with_borrow_mut(|cache| self.count_with(text, cache.get_or_insert_with(Cache::new)))
    }

    fn count_with(&self, text: &str, cache: &mut Cache) -> u64 {
        let bytes = text.as_bytes();
        let mut count = 0;
        let mut counted = 0;
        let mut stretch = Stretch::new(&self.tables, &mut counted);
        self.each_piece(text, |start, end, is_ascii| {
            // Words first: most of ASCII is one, and then the cache is not read.
            if self.word(bytes, start, end, is_ascii).is_some() {
                count += 1;
                return;
            }
            // Text without spaces hardly repeats its pieces.
            let repeats = bytes[start] < CJK;
            let key = Key::of(bytes, start, end).filter(|_| repeats);
            if let Some(known) = key.and_then(|key| cache.get(key)) {
                count += known;
                return;
            }
            let before = *stretch.accepted();
            stretch.piece(&text[start..end], is_ascii);
            if let Some(key) = key {
                cache.insert(key, *stretch.accepted() - before);
            }
        });
        count + counted
    }

    /// The token that is this piece, if it is ASCII and short.
    #[inline]
    fn word(&self, text: &[u8], start: usize, end: usize, is_ascii: bool) -> Option<u32> {
        if !is_ascii {
            return None;
        }
        self.words.get(ShortKey::of(text, start, end)?)
    }

    #[inline]
    fn each_piece(&self, text: &str, mut then: impl FnMut(usize, usize, bool)) {
        let mut start = 0;
        while start < text.len() {
            let (end, is_ascii) = self.splitter.piece(text, start);
            then(start, end, is_ascii);
            start = end;
        }
    }
}
