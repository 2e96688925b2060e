use std::sync::LazyLock;

use super::{
    accept::Accept,
    borders::Borders,
    characters::{Characters, insert_spaced},
    crossing::crossings,
    merges::Merges,
    pairs::Pairs,
    stretch::{Stretch, Tables},
    token_bytes::TokenBytes,
    words::Words,
};
use crate::estimate::exact::split::Splitter;

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
        let mut byte_ids = [0; 256];
        for (id, &byte) in (0..).zip(merges.bytes) {
            byte_ids[usize::from(byte)] = id;
        }
        let mut pairs = Pairs::new(&merges);
        insert_spaced(&mut pairs, &merges, &tokens);
        Self {
            splitter: Splitter::new(),
            words: Words::new(&tokens),
            tables: Tables {
                byte_ids,
                pairs,
                characters: Characters::new(&tokens, &crossings(&tokens)),
                borders: Borders::new(&tokens),
            },
        }
    }

    /// How texts are cut into pieces, and brought into NFC.
    pub(in crate::estimate::exact) fn splitter(&self) -> &Splitter {
        &self.splitter
    }

    /// Encodes a text that is in NFC.
    pub(in crate::estimate::exact) fn encode(&self, text: &str, accept: &mut impl Accept) {
        let bytes = text.as_bytes();
        let mut stretch = Stretch::new(&self.tables, accept);
        let mut start = 0;
        while start < bytes.len() {
            let (end, is_ascii) = self.splitter.piece(text, start);
            if !is_ascii {
                stretch.piece(&text[start..end]);
            } else if let Some(id) = self.words.get(bytes, start, end) {
                stretch.accept(&[id]);
            } else {
                stretch.ascii_piece(&bytes[start..end]);
            }
            start = end;
        }
    }
}
