use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
    sync::Mutex,
};

use crate::{macros::opaque_debug, shared::lock};

use super::{LedgerSink, Record, repair::repair};

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
pub struct JsonLines {
    writer: Mutex<Writer>,
    repaired: u64,
    is_synced: bool,
}

struct Writer {
    file: File,
    line: Vec<u8>,
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
        Ok(Self {
            writer: Mutex::new(Writer {
                file,
                // Reused, so that a line costs no allocation.
                line: Vec::new(),
                lost: 0,
            }),
            repaired,
            is_synced: false,
        })
    }

    /// Forces every line to the disk before the next one, which takes as long as the disk does. Default: the system writes
    /// when it sees fit.
    #[must_use]
    pub fn synced(mut self) -> Self {
        self.is_synced = true;
        self
    }

    /// Forces what was written so far to the disk, such as before the end of the process.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        lock(&self.writer).file.sync_data()
    }

    /// How much of a torn line was cut off when the file was opened. Unit: bytes.
    #[must_use]
    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// How many attempts are missing in the file, since they could not be written. They are in the ledger's sums.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.writer).lost
    }
}

impl LedgerSink for JsonLines {
    fn record(&self, record: &Record<'_>) {
        let mut writer = lock(&self.writer);
        if writer.write(record, self.is_synced).is_err() {
            // An attempt has ended; its caller can do nothing about a full disk. `lost` says so
            // to the owner.
            writer.lost = writer.lost.saturating_add(1);
        }
    }
}

impl Writer {
    fn write(&mut self, record: &Record<'_>, is_synced: bool) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        write_line(&mut self.file, &self.line)?;
        if is_synced {
            self.file.sync_data()?;
        }
        Ok(())
    }
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
}
