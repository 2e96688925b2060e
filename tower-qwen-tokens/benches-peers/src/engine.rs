use tower_qwen_tokens::estimate::{Family, Tokenizer};

use crate::vocabulary::tokenizer_json;

/// Something that counts.
pub struct Engine {
    /// The crate and its version.
    pub name: &'static str,
    /// Counts the tokens of a text.
    pub count: Box<dyn Fn(&str) -> usize>,
}

/// All of them, ours first. `tiktoken` knows neither NFC nor four of the special tokens.
pub const NAMES: [&str; 6] = [
    "ours",
    "tiktoken 4.1 (inexact)",
    "fastokens 0.3.5",
    "splintr 0.22",
    "tokenizers 1.0.0-rc.3",
    "tokenizers 0.23.2",
];

impl Engine {
    /// The engine of this name, its vocabulary loaded.
    ///
    /// # Panics
    ///
    /// There is none of this name, or it does not take the vocabulary.
    #[must_use]
    pub fn load(name: &str) -> Self {
        let at = NAMES
            .iter()
            .position(|known| *known == name)
            .expect("a known name");
        let count: Box<dyn Fn(&str) -> usize> = match at {
            0 => {
                let ours = Tokenizer::new(Family::Qwen3);
                Box::new(move |text| usize::try_from(ours.count(text)).unwrap_or(usize::MAX))
            }
            1 => {
                let library = tiktoken::get_encoding("qwen2").expect("compiled in");
                Box::new(move |text| library.count_with_special_tokens(text))
            }
            2 => {
                let peer = fastokens::Tokenizer::from_json(tokenizer_json())
                    .expect("it takes the vocabulary");
                Box::new(move |text| peer.encode(text).expect("it encodes").len())
            }
            3 => {
                let json = tokenizer_json().to_string();
                let peer =
                    splintr::from_json_bytes(json.as_bytes()).expect("it takes the vocabulary");
                Box::new(move |text| peer.encode(text).len())
            }
            4 => {
                let json = tokenizers_rc::canonicalize_str(&tokenizer_json().to_string());
                let json = json.expect("it takes the vocabulary");
                let peer = tokenizers_rc::from_json(&json).expect("it takes the vocabulary");
                let options = tokenizers_rc::pipeline::EncodeOptions::no_specials();
                Box::new(move |text| {
                    let mut tokens = Vec::with_capacity(text.len() / 4);
                    peer.encode_into(text, &options, &mut tokens)
                        .expect("it encodes");
                    tokens.len()
                })
            }
            _ => {
                let json = tokenizer_json().to_string();
                let peer =
                    tokenizers::Tokenizer::from_bytes(json).expect("it takes the vocabulary");
                Box::new(move |text| peer.encode_fast(text, false).expect("it encodes").len())
            }
        };
        Self {
            name: NAMES[at],
            count,
        }
    }
}
