//! What the ledgers' files hold.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use serde::Serialize;
use tower_qwen_tokens::ledger::{Basis, JsonLines, read_line};

/// Calls with what they used.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) tokens: u64,
}

impl Sums {
    /// Adds a file that no server writes any more. Calls of which the provider has said nothing do not count.
    pub(crate) fn add_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = || format!("the ledger {}", path.display());
        // Of a server that was killed for good, the last line may be torn.
        drop(JsonLines::open(path).with_context(name)?);
        for line in BufReader::new(File::open(path).with_context(name)?).lines() {
            let record = read_line(&line?).with_context(name)?;
            if record.entry.basis == Basis::Reported {
                self.calls += 1;
                self.tokens += record.entry.usage.total().unwrap_or(0);
            }
        }
        Ok(())
    }
}
