//! Where the log goes: to standard error, by a thread of its own, so that it never holds or fails a call.
//!
//! A disk may be full, and the reader of a pipe may stall or be gone. Then lines are lost: they are counted, and told once when
//! it works again.

use std::{
    io::{self, ErrorKind, Write},
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use tracing::warn;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// So many lines wait to be written; further ones are lost.
// A quarter of a second of the busiest gateway that was measured: 1 MB as lines mostly are.
const MAX_WAITING: usize = 2_048;

/// How much of a path is in a line. Unit: bytes.
const MAX_PATH: usize = 256;

/// A path as lines have it: a stranger's may be as long as a head, and must not fill the log.
#[must_use]
pub fn shown_path(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_PATH)]
}

/// How often the end looks whether all lines are written, and between two looks it waits for so long: a second in all.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(5);

/// The log of the program.
#[derive(Debug)]
pub struct Log {
    lines: LogLines,
    guard: WorkerGuard,
}

/// Takes lines, and never waits. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct LogLines {
    to: NonBlocking,
    counts: LogCounts,
}

/// What became of the lines. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct LogCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    written: AtomicU64,
    /// Could not be written.
    failed: AtomicU64,
    /// Too many waited.
    refused: OnceLock<ErrorCounter>,
}

impl Log {
    /// A log that ends in `to`.
    pub fn new(to: impl Write + Send + 'static) -> Self {
        let counts = LogCounts::default();
        let (to, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(MAX_WAITING)
            .lossy(true)
            .thread_name("log")
            .finish(Output::new(to, counts.clone()));
        // The only time.
        let _ = counts.0.refused.set(to.error_counter());
        Self {
            lines: LogLines { to, counts },
            guard,
        }
    }

    /// What takes its lines.
    #[must_use]
    pub fn lines(&self) -> LogLines {
        self.lines.clone()
    }

    /// What became of its lines.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        self.lines.counts.clone()
    }

    /// Waits a second at most until all lines are written.
    pub fn end(self) {
        let counts = self.counts();
        for _ in 0..LOOKS {
            if counts.is_all_done() {
                break;
            }
            thread::park_timeout(LOOK);
        }
        if !counts.is_all_done() {
            // Its end would write to standard output that it cannot end, which panics or waits where that is as stuck.
            mem::forget(self.guard);
        }
    }
}

impl LogCounts {
    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let refused = self.0.refused.get().map_or(0, ErrorCounter::dropped_lines);
        self.0.failed.load(Relaxed) + refused as u64
    }

    fn is_all_done(&self) -> bool {
        // What was taken first: a line that is written meanwhile is not one more.
        let taken = self.0.taken.load(Relaxed);
        self.0.written.load(Relaxed) + self.lost() >= taken
    }
}

impl Write for LogLines {
    /// One line; it never fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.counts.0.taken.fetch_add(1, Relaxed);
        self.to.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines in the log's thread.
struct Output<W> {
    to: W,
    counts: LogCounts,
    /// The beginning of a line is there without its end.
    is_torn: bool,
    /// As many were lost at the line before.
    lost_before: u64,
    told: u64,
}

impl<W: Write> Output<W> {
    fn new(to: W, counts: LogCounts) -> Self {
        Self {
            to,
            counts,
            is_torn: false,
            lost_before: 0,
            told: 0,
        }
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.to.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = &rest[written..];
                    self.is_torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.to.flush()
    }

    /// Tells of lost lines once no more are lost: not for each line while there is no end of it.
    fn tell(&mut self) {
        let lost = self.counts.lost();
        if lost > self.told && lost == self.lost_before {
            let lines = lost - mem::replace(&mut self.told, lost);
            // It waits in the queue as all others do; this thread writes it later.
            warn!(lines, "lines of the log were lost: it could not be written");
        }
        self.lost_before = lost;
    }
}

impl<W: Write> Write for Output<W> {
    /// One line, as it was taken. Errors are counted here, for nobody else hears of them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.write_line(line) {
            Ok(()) => {
                self.counts.0.written.fetch_add(1, Relaxed);
                self.tell();
            }
            Err(_) => {
                self.counts.0.failed.fetch_add(1, Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes so many bytes, then none, until there is room again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn set_room(&self, room: usize) {
            self.0.lock().expect("whole").0 = room;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("whole").1.clone()).expect("text")
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().expect("whole");
            let some = bytes.len().min(disk.0);
            if some == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.0 -= some;
            disk.1.extend_from_slice(&bytes[..some]);
            Ok(some)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_whole_or_lost_and_counted() -> io::Result<()> {
        let (disk, counts) = (Disk::default(), LogCounts::default());
        let mut output = Output::new(disk.clone(), counts.clone());
        disk.set_room(7);
        output.write_all(b"one\n")?;
        output.write_all(b"second\n")?;
        output.write_all(b"third\n")?;
        assert_eq!((counts.lost(), &*disk.text()), (2, "one\nsec"));
        disk.set_room(100);
        output.write_all(b"fourth\n")?;
        assert_eq!((counts.lost(), &*disk.text()), (2, "one\nsec\nfourth\n"));
        assert_eq!((output.lost_before, output.told), (2, 0), "not told yet");
        output.write_all(b"fifth\n")?;
        assert_eq!(output.told, 2);
        Ok(())
    }

    #[test]
    fn the_end_waits_for_the_last_line() {
        let disk = Disk::default();
        disk.set_room(10_000);
        let log = Log::new(disk.clone());
        let (mut lines, counts) = (log.lines(), log.counts());
        for _ in 0..1_000 {
            lines.write_all(b"line\n").expect("it never fails");
        }
        log.end();
        assert_eq!((disk.text().lines().count(), counts.lost()), (1_000, 0));
    }
}
