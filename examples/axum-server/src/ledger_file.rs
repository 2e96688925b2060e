//! The ledger's file: opened again when it was moved or deleted, and its losses told.

use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Context as _;
use tokio::time::Instant;
use tower_qwen_tokens::ledger::{JsonLines, LedgerSink, Record};
use tracing::{error, info, warn};

/// Appends every call to a file, one JSON object a line.
#[derive(Debug)]
pub struct LedgerFile {
    path: PathBuf,
    lines: JsonLines,
    /// The file that is open, to be looked at. Locked while another is opened.
    opened: Mutex<Option<File>>,
    began: Instant,
    /// When it was looked at. Unit: seconds since it began.
    looked: AtomicU64,
    /// It was said that a deleted file cannot be opened anew.
    is_gone: AtomicBool,
    is_failing: AtomicBool,
    /// How many losses were told.
    told: AtomicU64,
    is_losing: AtomicBool,
}

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
            opened: Mutex::new(File::open(path).ok()),
            began: Instant::now(),
            looked: AtomicU64::new(0),
            is_gone: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            told: AtomicU64::new(0),
            is_losing: AtomicBool::new(false),
        })
    }

    /// Opens the file of this name again, if it is another one than before: who rotates ledgers moves it first.
    ///
    /// # Errors
    ///
    /// As for [`LedgerFile::open`]; then the former file is written on.
    pub fn reopen(&self) -> anyhow::Result<()> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let before = opened.as_ref().and_then(|file| file.metadata().ok());
        let named = fs::metadata(&self.path).ok();
        if before.is_some_and(|before| named.is_some_and(|named| is_same(&before, &named))) {
            return Ok(());
        }
        explain(self.lines.reopen(&self.path), &self.path)?;
        *opened = File::open(&self.path).ok();
        Ok(())
    }

    /// Opens the file anew if it was deleted: no error says that nobody can read what is written to it.
    fn reopen_if_deleted(&self) {
        let now = self.began.elapsed().as_secs();
        // Not for each line: it asks the system.
        if self.looked.swap(now, Relaxed) == now {
            return;
        }
        let is_deleted = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.as_ref().is_some_and(is_deleted)
        };
        if !is_deleted {
            return;
        }
        let file = self.path.display();
        match self.reopen() {
            Ok(()) => {
                self.is_gone.store(false, Relaxed);
                warn!(%file, "the ledger's file was deleted: it is opened anew, and the calls before are missing in it");
            }
            Err(why) if !self.is_gone.swap(true, Relaxed) => {
                error!(%file, why = format!("{why:#}"), "the ledger's file was deleted, and cannot be opened anew: calls are lost");
            }
            Err(_) => {}
        }
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
        self.reopen_if_deleted();
        self.lines.record(record);
        let is_failing = self.unwritten() > 0;
        // Said when it begins and when it ends, and not for each line.
        if self.is_failing.load(Relaxed) != is_failing
            && self.is_failing.swap(is_failing, Relaxed) != is_failing
        {
            let (file, lost) = (self.path.display(), self.lost());
            self.is_losing.store(false, Relaxed);
            self.told.store(lost, Relaxed);
            if is_failing {
                error!(%file, "the ledger's file cannot be written: calls wait in memory, and are tried again");
            } else {
                info!(%file, lost, "the ledger's file can be written again");
            }
        }
        if is_failing
            && !self.is_losing.load(Relaxed)
            && self.lost() > self.told.load(Relaxed)
            && !self.is_losing.swap(true, Relaxed)
        {
            let file = self.path.display();
            error!(%file, "too many calls wait for the ledger's file: further ones are lost in it");
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
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    // One name is one file: who rotates it stops the program.
    true
}

/// Whether the file has no name any more.
#[cfg(unix)]
fn is_deleted(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|file| file.nlink() == 0)
}

#[cfg(not(unix))]
fn is_deleted(_: &File) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;

    use tower_qwen_tokens::{Basis, End, Usage, ledger::Entry};
    use tracing::subscriber::with_default;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn that_calls_are_lost_is_said_once() {
        let log = Log::default();
        let lines = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        let file = LedgerFile::open(Path::new("/dev/full")).expect("it is there");
        // Nine of them are more than may wait.
        let entry = Entry::new(
            "m".repeat(1 << 20),
            Usage::default(),
            Basis::Reported,
            End::Complete,
        );
        with_default(lines, || {
            for _ in 0..12 {
                file.record(&Record::new(&entry, None, None));
            }
        });
        assert!(file.lost() > 1, "{}", file.lost());
        let text = String::from_utf8(log.0.lock().expect("whole").clone()).expect("text");
        let told = |what: &str| text.matches(what).count();
        assert_eq!(
            (told("calls wait in memory"), told("further ones are lost")),
            (1, 1),
            "{text}"
        );
    }
}
