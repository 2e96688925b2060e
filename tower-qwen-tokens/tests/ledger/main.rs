//! The ledger: its sums, its sinks, its watch.

#[cfg(feature = "tracing")]
#[path = "../support/events.rs"]
mod events;
mod json_lines;
#[cfg(feature = "metrics")]
mod metrics;
mod notices;
mod read_line;
mod sinks;
mod sums;
mod take;
#[cfg(feature = "tracing")]
mod tracing;

use tower_qwen_tokens::{
    Usage,
    ledger::{Basis, End, Entry},
};

/// A whole answer of these tokens.
fn entry(model: &str, input: u64, output: u64) -> Entry {
    let usage = Usage::new(input, output);
    Entry::new(model, usage, Basis::Reported, End::Complete)
}
