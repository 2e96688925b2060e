//! The law of the encoder: the ids of a text are those that the published ranks give it. Compared with another
//! implementation of them, the crate `tiktoken`.

#![cfg(feature = "tokenizer")]

use std::{fs, path::Path};

use proptest::prelude::*;
use tower_qwen_tokens::estimate::{Family, Tokenizer};
use unicode_normalization::UnicodeNormalization;

#[path = "support/bpe_texts.rs"]
mod bpe_texts;

fn library() -> &'static tiktoken::CoreBpe {
    tiktoken::get_encoding("qwen2").expect("the vocabulary is compiled in")
}

/// The ids, and the count, are those of the library, which knows neither NFC nor all special tokens.
fn same_ids(text: &str) {
    let text: String = text.replace('<', "").nfc().collect();
    let tokenizer = Tokenizer::new(Family::Qwen3);
    let ids = tokenizer.encode(&text);
    assert_eq!(ids, library().encode(&text), "{text:?}");
    assert_eq!(tokenizer.count(&text), ids.len() as u64, "{text:?}");
}

#[test]
fn every_token_is_its_own_encoding() {
    let tokenizer = Tokenizer::new(Family::Qwen3);
    let mut seen = 0;
    for id in 0..151_643 {
        let bytes = library().decode(&[id]);
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        // Tokens that the pattern cuts, and that NFC changes, are never made of a text.
        if library().encode(&text) == [id] && text.nfc().eq(text.chars()) {
            assert_eq!(tokenizer.encode(&text), [id], "{text:?}");
            seen += 1;
        }
    }
    assert!(seen > 140_000, "{seen}");
}

#[test]
fn every_character_after_some_that_join_the_next() {
    for before in ["", " ", "し", "о", "選"] {
        // Beyond the plane no token begins a character of another.
        let end = if before.is_empty() {
            0x11_0000
        } else {
            0x1_0000
        };
        for block in (0..end).step_by(64) {
            let characters = (block..block + 64).filter_map(char::from_u32);
            let text: String = characters.flat_map(|c| before.chars().chain([c])).collect();
            same_ids(&text);
        }
    }
}

#[test]
fn every_text_of_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut seen = 0;
    for half in ["fit", "held_out"] {
        for kind in fs::read_dir(corpus.join(half)).expect("the corpus is there") {
            let kind = kind.expect("the corpus can be read").path();
            if !kind.is_dir() {
                continue;
            }
            for file in fs::read_dir(kind).expect("the corpus can be read") {
                let text = fs::read_to_string(file.expect("a file").path()).expect("a text");
                same_ids(&text);
                seen += 1;
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text(text in bpe_texts::texts(|id| library().decode(&[id]))) {
        same_ids(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_long_piece(unit in bpe_texts::texts(|id| library().decode(&[id])), count in 1_usize..40) {
        let piece: String = unit.chars().filter(|c| c.is_alphabetic()).collect();
        same_ids(&piece.repeat(count));
    }
}
