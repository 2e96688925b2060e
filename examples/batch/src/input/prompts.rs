//! The prompts that come with the program.

/// Calls in the input format: Chinese, English and code, short and long.
#[must_use]
pub fn bundled() -> &'static [u8] {
    include_bytes!("../../data/prompts.jsonl")
}
