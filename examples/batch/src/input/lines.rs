//! The lines of a text, one at a time.

use std::io;

use futures_util::FutureExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::Reason;

/// How much of the buffer of a long line is held for the next one.
const HELD_BUFFER: usize = 1 << 20;

/// Reads line by line. Holds one line at a time.
#[derive(Debug)]
pub(super) struct Lines<R> {
    inner: R,
    buffer: Vec<u8>,
    number: u64,
    too_long: bool,
    limit: usize,
    /// The buffer holds the line that was given last.
    given: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of `inner`, of which so many are `gone`, each of at most `limit` bytes.
    pub(super) fn new(inner: R, gone: u64, limit: usize) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            number: gone,
            too_long: false,
            limit,
            given: false,
        }
    }

    /// The next line that is not blank, with its number; without blanks at its ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> io::Result<Option<(u64, Result<&[u8], Reason>)>> {
        loop {
            if std::mem::take(&mut self.given) {
                self.buffer.clear();
                self.buffer.shrink_to(HELD_BUFFER);
                self.too_long = false;
            }
            if !self.fill().await? {
                return Ok(None);
            }
            self.given = true;
            self.number += 1;
            if self.too_long || !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let line = if self.too_long {
            Err(Reason::TooLong(self.limit))
        } else {
            Ok(self.buffer.trim_ascii())
        };
        Ok(Some((self.number, line)))
    }

    /// What is there of the lines that follow, without a wait. They are still given.
    ///
    /// # Errors
    ///
    /// As reading does.
    pub(super) fn ahead(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf().now_or_never().unwrap_or(Ok(&[]))
    }

    /// Reads up to the end of the line; false where nothing is left.
    async fn fill(&mut self) -> io::Result<bool> {
        loop {
            let chunk = self.inner.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(!self.buffer.is_empty() || self.too_long);
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let taken = part.len() + usize::from(end.is_some());
            if self.too_long || self.buffer.len() + part.len() > self.limit {
                self.too_long = true;
                self.buffer.clear();
            } else {
                self.buffer.extend_from_slice(part);
            }
            self.inner.consume(taken);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    type Found = Vec<(u64, Result<Vec<u8>, Reason>)>;

    async fn lines(text: &[u8], capacity: usize, limit: usize) -> io::Result<Found> {
        let mut lines = Lines::new(BufReader::with_capacity(capacity, text), 0, limit);
        let mut found = Vec::new();
        while let Some((number, line)) = lines.next().await? {
            found.push((number, line.map(<[u8]>::to_vec)));
        }
        Ok(found)
    }

    #[tokio::test]
    async fn a_line_too_long_is_skipped_to_its_end() -> Result<(), Box<dyn Error>> {
        let text = format!(
            "12345678\n1234567\n{}\n12\n{}",
            "x".repeat(100),
            "y".repeat(9)
        );
        let found: Vec<_> = lines(text.as_bytes(), 3, 8)
            .await?
            .into_iter()
            .map(|(number, line)| (number, line.map(|line| line.len())))
            .collect();
        assert_eq!(
            found,
            [
                (1, Ok(8)),
                (2, Ok(7)),
                (3, Err(Reason::TooLong(8))),
                (4, Ok(2)),
                (5, Err(Reason::TooLong(8)))
            ]
        );
        Ok(())
    }

    proptest! {
        #[test]
        fn however_the_bytes_arrive_the_lines_are_the_same(
            text in "[ab\r\n \u{e9}]{0,60}",
            capacity in 1..12_usize,
        ) {
            let found = lines(text.as_bytes(), capacity, 100).now_or_never().expect("it is in memory")?;
            let expected: Found = text
                .split('\n')
                .zip(1..)
                .map(|(line, number)| (number, Ok(line.as_bytes().trim_ascii().to_vec())))
                .filter(|(_, line)| line.as_ref().is_ok_and(|line| !line.is_empty()))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
