use std::collections::HashMap;

use serde_json::{Value, json};

const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Ordinary tokens of Qwen2, Qwen2.5 and Qwen3.
const TOKENS: u32 = 151_643;
const SPECIALS: [&str; 26] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
];

/// The `tokenizer.json` of Qwen3, made of the ranks that `tiktoken` carries.
///
/// # Panics
///
/// The vocabulary is not what it should be.
#[must_use]
pub fn tokenizer_json() -> Value {
    let library = tiktoken::get_encoding("qwen2").expect("the vocabulary is compiled in");
    let tokens: Vec<Vec<u8>> = (0..TOKENS).map(|id| library.decode(&[id])).collect();
    let ranks: HashMap<&[u8], u32> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    let alphabet = alphabet();
    let spell = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|&byte| alphabet[byte as usize])
            .collect::<String>()
    };
    let vocab: serde_json::Map<String, Value> = tokens
        .iter()
        .zip(0_u32..)
        .map(|(token, id)| (spell(token), json!(id)))
        .collect();
    let merges: Vec<Value> = tokens[256..]
        .iter()
        .zip(256..)
        .map(|(token, rank)| {
            let split = halves(token, rank, &ranks);
            json!([spell(&token[..split]), spell(&token[split..])])
        })
        .collect();
    let added: Vec<Value> = SPECIALS
        .iter()
        .zip(TOKENS..)
        .map(|(token, id)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": token.starts_with("<|")})
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        ]},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges},
    })
}

/// Where the two tokens meet of which a token is made: what is left of it when all earlier merges are done.
fn halves(token: &[u8], rank: u32, ranks: &HashMap<&[u8], u32>) -> usize {
    let mut borders: Vec<usize> = (0..=token.len()).collect();
    while borders.len() > 3 {
        let best = borders
            .windows(3)
            .enumerate()
            .filter_map(|(at, w)| Some((*ranks.get(&token[w[0]..w[2]])?, at)))
            .filter(|&(merged, _)| merged < rank)
            .min()
            .expect("every token is made of two");
        borders.remove(best.1 + 1);
    }
    borders[1]
}

/// The characters that stand for bytes in a `tokenizer.json`.
fn alphabet() -> Vec<char> {
    let mut next = 256_u32;
    (0..=255_u32)
        .map(|byte| match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte,
            _ => {
                next += 1;
                next - 1
            }
        })
        .map(|code| char::from_u32(code).expect("no surrogates here"))
        .collect()
}
