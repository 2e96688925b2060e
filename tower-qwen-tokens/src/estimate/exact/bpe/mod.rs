//! Byte pair encoding by merges.
//!
//! The law: the ids of a text are those that the published ranks give it, byte by byte (`tests/bpe.rs` compares them with
//! other implementations). What makes it fast, and why it keeps the law:
//!
//! - Symbols are ids, and a table of merges says which id a pair of them becomes: no bytes are hashed ([`pairs`]).
//! - A character that has a token of its own is one symbol from the start. The two parts of a token have lower ids than the
//!   token, so merges happen in the order of ids: the character is whole before its id is reached, unless a token of a lower id
//!   took a part of it. Such a token spans a border of characters and begins or ends within one; there are 314, and the
//!   characters they can break start as bytes ([`crossing`], [`characters`]).
//! - Merges only make tokens. Where no token spans a border of two characters, nothing is ever merged over it, so both sides are
//!   encoded by themselves ([`borders`]).
//! - A piece that is a token is its own encoding, since every token is what merges make of its bytes ([`words`]).

mod accept;
mod borders;
mod cache;
mod characters;
mod crossing;
mod key;
mod merge;
mod merges;
mod pairs;
mod stretch;
mod token_bytes;
mod vocabulary;
mod windows;
mod words;

pub(super) use vocabulary::Vocabulary;
