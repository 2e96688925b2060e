//! The law of the encoder against two other implementations, on texts that are made to break it:
//! `PROPTEST_CASES=100000 cargo test --release --manifest-path tower-qwen-tokens/benches-peers/Cargo.toml`.

use std::sync::LazyLock;

use benches_peers::tokenizer_json;
use proptest::prelude::*;
use tower_qwen_tokens::estimate::{Family, Tokenizer};
use unicode_normalization::UnicodeNormalization;

#[path = "../../tests/support/bpe_texts.rs"]
mod bpe_texts;

static FASTOKENS: LazyLock<fastokens::Tokenizer> = LazyLock::new(|| {
    fastokens::Tokenizer::from_json(tokenizer_json()).expect("it takes the vocabulary")
});

fn library() -> &'static tiktoken::CoreBpe {
    tiktoken::get_encoding("qwen2").expect("the vocabulary is compiled in")
}

proptest! {
    #[test]
    fn any_text(text in bpe_texts::texts(|id| library().decode(&[id]))) {
        // `tiktoken` knows neither NFC nor all special tokens.
        let text: String = text.replace('<', "").nfc().collect();
        let tokenizer = Tokenizer::new(Family::Qwen3);
        let ids = tokenizer.encode(&text);
        prop_assert_eq!(&ids, &library().encode(&text));
        prop_assert_eq!(&ids, &FASTOKENS.encode(&text).expect("it encodes"));
        prop_assert_eq!(tokenizer.count(&text), ids.len() as u64);
    }
}
