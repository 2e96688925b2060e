//! The only place that writes answers.

use std::{
    fs::File,
    io::{self, Write},
};

use serde::Serialize;

use super::{Record, record::BadRecord};
use crate::input::BadLine;

/// Appends records to an output file, each as one whole line at once.
#[derive(Debug)]
pub struct Writer<W = File> {
    file: W,
    length: u64,
    line: Vec<u8>,
    /// Takes what failed.
    errors: Option<Box<Self>>,
    /// The file whose place this one took; its lock keeps out whoever opened it before.
    _replaced: Option<File>,
}

/// A file that can be cut back to a length.
pub trait Truncate {
    /// Cuts the file back.
    ///
    /// # Errors
    ///
    /// As the file does.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

impl Truncate for File {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

impl<W: Write + Truncate> Writer<W> {
    pub(super) fn new(file: W, length: u64, replaced: Option<File>) -> Self {
        Self {
            file,
            length,
            line: Vec::new(),
            errors: None,
            _replaced: replaced,
        }
    }

    /// Writes what failed to another file.
    #[must_use]
    pub fn errors_to(mut self, errors: Self) -> Self {
        self.errors = Some(Box::new(errors));
        self
    }

    /// Notes a line that is no call, where there is a file for what failed: it has no id that could stand in the output.
    ///
    /// # Errors
    ///
    /// As writing does.
    pub fn bad_line(&mut self, line: &BadLine) -> io::Result<()> {
        match &mut self.errors {
            Some(errors) => errors.append(&BadRecord::new(line)),
            None => Ok(()),
        }
    }

    /// Appends one line. A line that could be written in part only is cut off again.
    ///
    /// # Errors
    ///
    /// As writing does.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        match &mut self.errors {
            Some(errors) if !record.is_success() => errors.append(record),
            _ => self.append(record),
        }
    }

    fn append(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        if let Err(error) = self
            .file
            .write_all(&self.line)
            .and_then(|()| self.file.flush())
        {
            // What cannot be cut off now is repaired when the file is opened next.
            self.file.truncate(self.length).ok();
            return Err(error);
        }
        self.length += u64::try_from(self.line.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

impl Writer<File> {
    /// Waits until all is on the disk.
    ///
    /// # Errors
    ///
    /// As the disk does.
    pub fn sync(&self) -> io::Result<()> {
        if let Some(errors) = &self.errors {
            errors.sync()?;
        }
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room - self.held.len());
            self.held.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Truncate for Full {
        fn truncate(&mut self, length: u64) -> io::Result<()> {
            self.held
                .truncate(usize::try_from(length).unwrap_or(usize::MAX));
            Ok(())
        }
    }

    #[test]
    fn a_line_that_does_not_fit_leaves_no_torn_end() -> io::Result<()> {
        let record = Record::new("a".into(), None, None);
        let length = serde_json::to_vec(&record)?.len() + 1;
        let full = Full {
            held: Vec::new(),
            room: length + length / 2,
        };
        let mut writer = Writer::new(full, 0, None);
        writer.write(&record)?;
        assert!(writer.write(&record).is_err());
        assert_eq!(writer.file.held.len(), length);
        assert_eq!(writer.file.held.last(), Some(&b'\n'));
        Ok(())
    }
}
