use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

use crate::{macros::opaque_debug, shared::lock};

use super::{LedgerSink, Record, line, repair::repair};

/// Appends every attempt to a file, one JSON object a line, in the order in which they end.
///
/// A line holds what [`Record`] is written as: figures, names and times, never a prompt or a key.
///
/// # Blocking
///
/// A line is written with one call, on the thread where the attempt ends, under a mutex that is
/// held for that call: no task is spawned and nothing is queued. On a local disk that takes
/// microseconds, as it goes to the system's cache. A disk that stalls stalls its caller; where that
/// may happen, use a sink of your own that hands records to a thread.
///
/// # Durability
///
/// A line survives the end of the process, however it ends. To survive the end of the machine it must be
/// [synced](JsonLines::synced) too.
///
/// A line that cannot be written, such as to a full disk, waits in memory, and is tried again before the next one, by
/// [`JsonLines::sync`], and when this is dropped. Up to 8 MiB wait, some 20,000 lines; of more the newest are
/// [lost](JsonLines::lost).
pub struct JsonLines {
    writer: Mutex<Writer>,
    repaired: u64,
    is_synced: bool,
}

/// How much may wait for room.
// Enough for minutes of a busy process, and little beside what one holds.
const MAX_UNWRITTEN: usize = 8 << 20;
/// What is written at once of it, and a line more at most.
const PART: usize = 64 << 10;

struct Writer<F: Cut = File> {
    file: F,
    line: String,
    /// Whole lines, and how many they are.
    unwritten: Vec<u8>,
    unwritten_lines: u64,
    lost: u64,
}

impl JsonLines {
    /// Opens a file for appending, or creates it.
    ///
    /// A last line that is torn, since a process or a machine ended while it was written, is cut off; one that is whole but
    /// for its end is ended. The file is locked where the system can: one process writes it at a time.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, read or repaired, when another has locked it ([`io::ErrorKind::WouldBlock`]), or
    /// when its last line is none that this sink writes ([`io::ErrorKind::InvalidData`]): then it is left as it is.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let (file, repaired) = open(path.as_ref())?;
        Ok(Self {
            writer: Mutex::new(Writer::new(file)),
            repaired,
            is_synced: false,
        })
    }

    /// Goes on in another file, such as after who rotates ledgers has moved the one so far: opens it as
    /// [`JsonLines::open`] does. What still waits for room goes there.
    ///
    /// # Errors
    ///
    /// As for [`JsonLines::open`]; then the file so far is written on. It must be another one: its own lock counts too.
    pub fn reopen(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (file, _) = open(path.as_ref())?;
        let mut writer = lock(&self.writer);
        writer.file = file;
        // What has no room there waits on.
        let _ = writer.write_unwritten();
        Ok(())
    }

    /// Forces every line to the disk before the next one, which takes as long as the disk does. Default: the system writes
    /// when it sees fit.
    #[must_use]
    pub fn synced(mut self) -> Self {
        self.is_synced = true;
        self
    }

    /// Forces what was written so far to the disk, such as before the end of the process. What waits for room is tried
    /// again.
    ///
    /// # Errors
    ///
    /// When the disk fails, or has no room still.
    pub fn sync(&self) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        writer.write_unwritten()?;
        writer.file.sync_data()
    }

    /// How much of a torn line was cut off when the file was opened. Unit: bytes.
    #[must_use]
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// How many attempts wait for room: they could not be written so far. They are in the ledger's sums.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        lock(&self.writer).unwritten_lines
    }

    /// How many attempts are missing in the file for good, since too many waited for room. They are in the ledger's sums.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.writer).lost
    }
}

/// A file for appending, locked and repaired, and how much was cut off.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
        // Some file systems have no locks; there, one process a file is the user's duty.
        Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
            return Err(error);
        }
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    let repaired = repair(&mut file)?;
    Ok((file, repaired))
}

impl LedgerSink for JsonLines {
    fn record(&self, record: &Record<'_>) {
        let mut writer = lock(&self.writer);
        let writer = &mut *writer;
        writer.line.clear();
        let line = line::write(record, &mut writer.line);
        writer.line.push('\n');
        // An attempt has ended; its caller can do nothing about a full disk. `unwritten` and `lost` say so to the owner.
        let is_lost = match line {
            Ok(()) => {
                writer.write();
                self.is_synced && writer.file.sync_data().is_err()
            }
            Err(_) => true,
        };
        writer.lost = writer.lost.saturating_add(is_lost.into());
    }
}

impl<F: Cut> Writer<F> {
    fn new(file: F) -> Self {
        Self {
            file,
            // Reused, so that a line costs no allocation.
            line: String::new(),
            unwritten: Vec::new(),
            unwritten_lines: 0,
            lost: 0,
        }
    }

    /// Writes the line, behind those that wait, or lets it wait.
    fn write(&mut self) {
        let is_first = self.write_unwritten().is_ok();
        if is_first && write_line(&mut self.file, self.line.as_bytes()).is_ok() {
            return;
        }
        if self.unwritten.len() + self.line.len() <= MAX_UNWRITTEN {
            self.unwritten.extend_from_slice(self.line.as_bytes());
            self.unwritten_lines += 1;
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn write_unwritten(&mut self) -> io::Result<()> {
        let mut written = 0;
        let mut result = Ok(());
        while result.is_ok() && written < self.unwritten.len() {
            let part = part(&self.unwritten[written..]);
            result = write_line(&mut self.file, part);
            if result.is_ok() {
                written += part.len();
                self.unwritten_lines -= lines_of(part);
            }
        }
        self.unwritten.drain(..written);
        if self.unwritten.is_empty() {
            // Its memory too: a full disk is rare.
            self.unwritten = Vec::new();
        }
        result
    }
}

impl<F: Cut> Drop for Writer<F> {
    fn drop(&mut self) {
        // Nobody is there any more to whom it could be said.
        let _ = self.write_unwritten();
    }
}

/// The first lines of some: as many as begin within a part.
fn part(lines: &[u8]) -> &[u8] {
    let from = lines.len().min(PART);
    let end = lines[from..].iter().position(|&byte| byte == b'\n');
    end.map_or(lines, |end| &lines[..=from + end])
}

fn lines_of(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// A file that can be made shorter.
trait Cut: Write {
    /// Takes the last bytes away.
    fn cut(&mut self, bytes: usize) -> io::Result<()>;
}

impl Cut for File {
    fn cut(&mut self, bytes: usize) -> io::Result<()> {
        let length = self.metadata()?.len();
        self.set_len(length.saturating_sub(bytes as u64))
    }
}

/// Writes a line at once or not at all.
fn write_line(file: &mut impl Cut, line: &[u8]) -> io::Result<()> {
    loop {
        match file.write(line) {
            Ok(written) if written == line.len() => return Ok(()),
            // A full disk: what is there of the line goes again, so that the next one begins at its beginning.
            Ok(written) => {
                file.cut(written)?;
                return Err(io::ErrorKind::WriteZero.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

opaque_debug!(JsonLines { is_synced }, impl std::fmt::Debug for JsonLines);

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes and no more, after so many interruptions.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        interruptions: u32,
    }

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.interruptions > 0 {
                self.interruptions -= 1;
                return Err(io::ErrorKind::Interrupted.into());
            }
            let written = line.len().min(self.room - self.bytes.len());
            self.bytes.extend_from_slice(&line[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Cut for Disk {
        fn cut(&mut self, bytes: usize) -> io::Result<()> {
            self.bytes.truncate(self.bytes.len() - bytes);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_no_torn_line() {
        let mut disk = Disk {
            bytes: Vec::new(),
            room: 8,
            interruptions: 2,
        };
        assert!(write_line(&mut disk, b"1234\n").is_ok());
        assert!(write_line(&mut disk, b"5678\n").is_err());
        assert_eq!(disk.bytes, b"1234\n");
        assert!(write_line(&mut disk, b"56\n").is_ok());
        assert!(write_line(&mut disk, b"7\n").is_err());
        assert_eq!(disk.bytes, b"1234\n56\n");
    }

    #[test]
    fn lines_wait_for_room_and_go_in_their_order() {
        let mut writer = Writer::new(Disk {
            bytes: Vec::new(),
            room: 6,
            interruptions: 0,
        });
        let mut write = |line: &str, room: usize| {
            writer.file.room = room;
            writer.line = line.into();
            writer.write();
            (writer.file.bytes.len(), writer.unwritten_lines)
        };
        assert_eq!(write("1\n", 6), (2, 0));
        assert_eq!(write("2345\n", 6), (2, 1));
        // There would be room for this one; it has its turn.
        assert_eq!(write("6\n", 6), (2, 2));
        assert_eq!(write("7\n", 100), (11, 0));
        assert_eq!(writer.file.bytes, b"1\n2345\n6\n7\n");
        assert_eq!(writer.lost, 0);
    }

    #[test]
    fn so_much_waits_and_no_more() {
        let mut writer = Writer::new(Disk {
            bytes: Vec::new(),
            room: 0,
            interruptions: 0,
        });
        let line = "x".repeat(MAX_UNWRITTEN / 100 - 1) + "\n";
        for _ in 0..102 {
            writer.line.clone_from(&line);
            writer.write();
        }
        assert_eq!((writer.unwritten_lines, writer.lost), (100, 2));
        // In parts, each as long as there is room.
        writer.file.room = 50 * line.len() + 7;
        assert!(writer.write_unwritten().is_err());
        assert_eq!(lines_of(&writer.file.bytes), 50);
        assert!(writer.file.bytes.ends_with(b"\n"));
        writer.file.room = 200 * line.len();
        assert!(writer.write_unwritten().is_ok());
        assert_eq!(
            (lines_of(&writer.file.bytes), writer.unwritten.capacity()),
            (100, 0)
        );
    }
}
