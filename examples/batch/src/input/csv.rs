//! The records of a CSV file, one at a time.

use std::{io, sync::Arc};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::Reason;

/// How much of the buffer of a long record is held for the next one.
const HELD_BUFFER: usize = 1 << 20;

/// A record of more fields counts as too long: the place of each takes eight bytes beside its own.
const MOST_FIELDS: usize = 1 << 16;

/// Reads record by record. Holds one record at a time.
#[derive(Debug)]
pub(super) struct Csv<R> {
    inner: R,
    parser: Reader,
    record: Record,
    limit: usize,
    /// Lines that are read, those of the record included.
    lines: u64,
    columns: Option<Arc<[String]>>,
}

/// A record that is being put together.
#[derive(Debug, Default)]
struct Record {
    text: Vec<u8>,
    text_length: usize,
    ends: Vec<usize>,
    end_count: usize,
    /// The line on which it begins; 0 where it has not begun.
    line: u64,
    too_long: bool,
    /// It has been given.
    given: bool,
}

/// A record: the names of the columns, and its fields in their order.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) columns: &'a [String],
    pub(super) fields: Vec<&'a str>,
}

impl<R: AsyncBufRead + Unpin> Csv<R> {
    /// Records of `inner`, of which so many lines are `gone`, each of at most `limit` bytes.
    pub(super) fn new(inner: R, gone: u64, delimiter: u8, limit: usize) -> Self {
        Self {
            inner,
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            record: Record::default(),
            limit,
            lines: gone,
            columns: None,
        }
    }

    /// The names of the columns, from the first record; `None` where that is no text, or too long.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn columns(&mut self) -> io::Result<Option<Arc<[String]>>> {
        if self.columns.is_none() {
            if !self.fill().await? {
                return Ok(None);
            }
            self.columns = match self.record.fields() {
                Some(fields) if !self.record.too_long => {
                    Some(fields.map(|name| name.trim().to_owned()).collect())
                }
                _ => None,
            };
        }
        Ok(self.columns.clone())
    }

    /// The next record after that of the columns that is not blank, with the line on which it begins.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Option<(u64, Result<Row<'_>, Reason>)>> {
        if self.columns().await?.is_none() {
            return Ok(None);
        }
        loop {
            if !self.fill().await? {
                return Ok(None);
            }
            if !self.record.is_blank() {
                break;
            }
        }
        let columns = self.columns.as_deref().unwrap_or_default();
        let row = if self.record.too_long {
            Err(Reason::TooLong(self.limit))
        } else if self.record.end_count != columns.len() {
            Err(Reason::Width(self.record.end_count, columns.len()))
        } else {
            match self.record.fields() {
                Some(fields) => Ok(Row {
                    columns,
                    fields: fields.collect(),
                }),
                None => Err(Reason::NotUtf8),
            }
        };
        Ok(Some((self.record.line, row)))
    }

    /// Reads up to the end of a record; false where nothing is left.
    async fn fill(&mut self) -> io::Result<bool> {
        self.record.begin();
        loop {
            let chunk = self.inner.fill_buf().await?;
            if self.record.line == 0 {
                // The parser passes over blank lines without a word, and the number of the line has to be right.
                let blank = chunk
                    .iter()
                    .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                    .count();
                if blank > 0 {
                    self.lines += line_feeds(&chunk[..blank]);
                    self.inner.consume(blank);
                    continue;
                }
                if chunk.is_empty() {
                    return Ok(false);
                }
                self.record.line = self.lines + 1;
            }
            let Record {
                text,
                text_length,
                ends,
                end_count,
                ..
            } = &mut self.record;
            let (result, read, written, ended) =
                self.parser
                    .read_record(chunk, &mut text[*text_length..], &mut ends[*end_count..]);
            self.lines += line_feeds(&chunk[..read]);
            self.inner.consume(read);
            *text_length += written;
            *end_count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.record.grow_text(self.limit),
                ReadRecordResult::OutputEndsFull => self.record.grow_ends(self.limit),
                ReadRecordResult::Record => {
                    self.record.given = true;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }
}

impl Record {
    fn begin(&mut self) {
        if std::mem::take(&mut self.given) {
            self.text.truncate(HELD_BUFFER);
            self.text.shrink_to_fit();
            (self.text_length, self.end_count) = (0, 0);
            (self.line, self.too_long) = (0, false);
        }
        if self.text.is_empty() {
            self.text.resize(1 << 10, 0);
            self.ends.resize(1 << 5, 0);
        }
    }

    fn grow_text(&mut self, limit: usize) {
        if self.text_length >= limit || self.too_long {
            // Read on to its end, over and over in the same place.
            self.too_long = true;
            self.text_length = 0;
        } else {
            let wanted = (self.text.len() * 2).min(limit.max(1 << 10));
            self.text.resize(wanted.max(self.text.len() + 1), 0);
        }
    }

    fn grow_ends(&mut self, limit: usize) {
        if self.end_count >= limit.min(MOST_FIELDS) || self.too_long {
            self.too_long = true;
            self.end_count = 0;
        } else {
            self.ends.resize(self.ends.len() * 2, 0);
        }
    }

    /// Its fields; `None` where they are no text.
    fn fields(&self) -> Option<impl Iterator<Item = &str>> {
        let text = self.text.get(..self.text_length)?;
        let text = std::str::from_utf8(text).ok()?;
        let ends = self.ends.get(..self.end_count)?;
        // A field may begin within a letter only where a quote stood between its bytes.
        if self.too_long || ends.iter().any(|&end| !text.is_char_boundary(end)) {
            return None;
        }
        let begins = std::iter::once(0).chain(ends.iter().copied());
        Some(begins.zip(ends).map(move |(begin, &end)| &text[begin..end]))
    }

    fn is_blank(&self) -> bool {
        !self.too_long
            && self.end_count == 1
            && self
                .fields()
                .is_some_and(|mut fields| fields.all(|field| field.trim().is_empty()))
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    type Found = Vec<(u64, Result<Vec<String>, Reason>)>;

    fn rows(text: &str, capacity: usize, limit: usize) -> io::Result<Found> {
        let content = BufReader::with_capacity(capacity, text.as_bytes());
        let mut csv = Csv::new(content, 0, b',', limit);
        let read = async {
            let mut found = Vec::new();
            while let Some((line, row)) = csv.next().await? {
                let row = row.map(|row| row.fields.iter().map(|&field| field.to_owned()).collect());
                found.push((line, row));
            }
            Ok(found)
        };
        read.now_or_never().expect("it is in memory")
    }

    fn row(fields: &[&str]) -> Result<Vec<String>, Reason> {
        Ok(fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn quotes_line_feeds_and_commas_in_fields_are_read_and_lines_counted() -> io::Result<()> {
        let text = "id, text \r\n1,\"a\n\"\"b\"\", c\"\r\n\r\n2,\r\n  \n3\n4,x,y\n5,字";
        for capacity in [1, 2, 3, 7, 100] {
            assert_eq!(
                rows(text, capacity, 1 << 20)?,
                [
                    (2, row(&["1", "a\n\"b\", c"])),
                    (5, row(&["2", ""])),
                    (7, Err(Reason::Width(1, 2))),
                    (8, Err(Reason::Width(3, 2))),
                    (9, row(&["5", "字"])),
                ]
            );
        }
        Ok(())
    }

    #[test]
    fn a_record_too_long_is_skipped_to_its_end() -> io::Result<()> {
        let long = "x".repeat(5_000);
        let commas = ",".repeat(5_000);
        let text = format!("a,b\n1,{long}\n2,y\n{commas}\n3,z\n");
        assert_eq!(
            rows(&text, 64, 1 << 10)?,
            [
                (2, Err(Reason::TooLong(1 << 10))),
                (3, row(&["2", "y"])),
                (4, Err(Reason::TooLong(1 << 10))),
                (5, row(&["3", "z"])),
            ]
        );
        let fits = rows(&format!("a,b\n1,{long}\n"), 64, 1 << 20)?;
        assert_eq!(fits, [(2, row(&["1", &long]))]);
        Ok(())
    }

    #[test]
    fn nothing_and_a_header_alone_have_no_records() -> io::Result<()> {
        for text in ["", "\n\n", "a,b", "a,b\r\n"] {
            assert_eq!(rows(text, 3, 100)?, []);
        }
        Ok(())
    }

    fn quoted(fields: &[String]) -> String {
        let fields: Vec<_> = fields
            .iter()
            .map(|field| format!("\"{}\"", field.replace('"', "\"\"")))
            .collect();
        fields.join(",") + "\n"
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_the_bytes_arrive(
            records in proptest::collection::vec(proptest::array::uniform2("[a,\"\r\n\u{e9}]{1,9}"), 0..6),
            capacity in 1..20_usize,
        ) {
            let mut text = "one,two\n".to_owned();
            let mut line = 2;
            let mut expected = Vec::new();
            for record in &records {
                expected.push((line, Ok(record.to_vec())));
                let written = quoted(record);
                line += line_feeds(written.as_bytes());
                text.push_str(&written);
            }
            prop_assert_eq!(rows(&text, capacity, 1 << 20)?, expected);
        }
    }
}
