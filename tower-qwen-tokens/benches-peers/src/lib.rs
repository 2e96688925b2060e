//! Exact Qwen3 token counts: ours and those of other tokenizers, on the same texts in the same run.
//!
//! `cargo bench` counts the same texts again and again, which suits whoever caches. `cargo run --release --bin first_sight`
//! shows every text once.

mod corpus;
mod engine;
mod vocabulary;

pub use corpus::{Worst, corpus, worst_cases};
pub use engine::{Engine, NAMES};
