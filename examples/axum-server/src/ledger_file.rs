//! The ledger's file: opened again when it was moved, and its losses told.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use anyhow::Context as _;
use tower_qwen_tokens::ledger::{JsonLines, LedgerSink, Record};
use tracing::{error, info};

/// Appends every call to a file, one JSON object a line.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    lines: JsonLines,
    /// Of the file that is open. Locked while another is opened.
    identity: Mutex<Option<Identity>>,
    is_failing: AtomicBool,
}

/// Which file it is, its name aside.
type Identity = (u64, u64);

impl LedgerFile {
    /// Opens a file for appending, or creates it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or repaired, or another process writes it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            lines: explain(JsonLines::open(path), path)?,
            identity: Mutex::new(identity(path)),
            is_failing: AtomicBool::new(false),
        })
    }

    /// Opens the file of this name again, if it is another one than before: who rotates ledgers moves it first.
    ///
    /// # Errors
    ///
    /// As for [`LedgerFile::open`]; then the former file is written on.
    pub fn reopen(&self) -> anyhow::Result<()> {
        let mut before = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_some() && *before == identity(&self.path) {
            return Ok(());
        }
        explain(self.lines.reopen(&self.path), &self.path)?;
        *before = identity(&self.path);
        Ok(())
    }

    /// Forces what was written so far to the disk.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.lines.sync()
    }

    /// How many calls are missing in the file for good.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }

    /// How many calls could not be written so far, and wait.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.lines.unwritten()
    }
}

impl LedgerSink for LedgerFile {
    fn record(&self, record: &Record<'_>) {
        self.lines.record(record);
        let is_failing = self.unwritten() > 0;
        // Said when it begins and when it ends, and not for each line.
        if self.is_failing.load(Relaxed) != is_failing
            && self.is_failing.swap(is_failing, Relaxed) != is_failing
        {
            let (file, lost) = (self.path.display(), self.lost());
            if is_failing {
                error!(%file, "the ledger's file cannot be written: calls wait in memory, and are tried again");
            } else {
                info!(%file, lost, "the ledger's file can be written again");
            }
        }
    }
}

fn explain<T>(result: io::Result<T>, path: &Path) -> anyhow::Result<T> {
    let result = result.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => anyhow::anyhow!("another process writes it"),
        _ => error.into(),
    });
    result.with_context(|| format!("the ledger {}", path.display()))
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    // One name is one file: who rotates it stops the program.
    fs::metadata(path).ok().map(|_| (0, 0))
}
