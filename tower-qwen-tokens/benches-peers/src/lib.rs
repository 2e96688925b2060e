//! Exact Qwen3 token counts: ours and those of other tokenizers, on the same texts in the same run.

mod clock;
mod corpus;
mod engine;
mod vocabulary;

pub use clock::cpu_seconds;
pub use corpus::{KINDS, Worst, texts, worst_cases};
pub use engine::{Engine, NAMES};
pub use vocabulary::tokenizer_json;
