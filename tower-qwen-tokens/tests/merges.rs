//! The merges in the crate are those of the published ranks.
//!
//! `UPDATE_MERGES=1 cargo test -p tower-qwen-tokens --features tokenizer --test merges` writes them anew.

#![cfg(feature = "tokenizer")]

use std::{collections::HashMap, env, fs, path::Path};

/// Ordinary tokens of Qwen2, Qwen2.5 and Qwen3.
const TOKENS: u32 = 151_643;

#[test]
fn merges_are_those_of_the_published_ranks() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/estimate/exact/bpe/merges.bin");
    let merges = merges();
    if env::var_os("UPDATE_MERGES").is_some() {
        fs::write(&file, &merges).expect("the file can be written");
    }
    let file = fs::read(file).expect("the file can be read");
    // No comparison of both: a failure would print them.
    assert!(file == merges, "the merges are out of date");
}

/// The bytes of the first 256 ids, then the two ids that each further token is made of, as varints.
fn merges() -> Vec<u8> {
    let library = tiktoken::get_encoding("qwen2").expect("the vocabulary is compiled in");
    let tokens: Vec<Vec<u8>> = (0..TOKENS).map(|id| library.decode(&[id])).collect();
    let ranks: HashMap<&[u8], u32> = tokens.iter().map(Vec::as_slice).zip(0..).collect();
    let mut merges = tokens[..256].concat();
    for (token, rank) in tokens.iter().zip(0..).skip(256) {
        let (left, right) = token.split_at(first_part(token, rank, &ranks));
        for part in [left, right] {
            push_varint(&mut merges, ranks[part]);
        }
    }
    merges
}

/// Where the two parts of a token meet: what is left of it when all earlier merges are done.
fn first_part(token: &[u8], rank: u32, ranks: &HashMap<&[u8], u32>) -> usize {
    let mut borders: Vec<usize> = (0..=token.len()).collect();
    while borders.len() > 3 {
        let pairs = borders.windows(3).enumerate();
        let earlier = pairs
            .filter_map(|(at, three)| Some((*ranks.get(&token[three[0]..three[2]])?, at)))
            .filter(|&(merged, _)| merged < rank);
        let (_, at) = earlier.min().expect("every token is made of two");
        borders.remove(at + 1);
    }
    borders[1]
}

fn push_varint(data: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        data.push(value as u8 | 0x80);
        value >>= 7;
    }
    data.push(value as u8);
}
