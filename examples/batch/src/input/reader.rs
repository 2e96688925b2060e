//! The lines of the file, one at a time.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::{BadLine, InputCall, Reason};
use crate::{base_url::BaseUrl, ids::Ids};

/// The longest line that is read. Unit: bytes.
pub const MAX_LINE: usize = 32 << 20;

const KEPT_BUFFER: usize = 1 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads calls from lines of JSON. Holds one line and a fingerprint of each id at a time.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    base: BaseUrl,
    seen: Ids,
}

/// What a line is.
#[derive(Debug)]
pub enum Item {
    /// A call.
    Call(InputCall),
    /// No call, and why.
    Bad(BadLine),
}

#[derive(Debug)]
struct Lines<R> {
    inner: R,
    buffer: Vec<u8>,
    number: u64,
    too_long: bool,
    limit: usize,
    /// The buffer holds the line that was given last.
    given: bool,
}

impl<R: AsyncBufRead + Unpin> Reader<R> {
    /// Reads from `inner`; `base` is where the paths will be joined to.
    pub fn new(inner: R, base: BaseUrl) -> Self {
        Self {
            lines: Lines::new(inner, MAX_LINE),
            base,
            seen: Ids::default(),
        }
    }

    /// The next line that is not blank; `None` at the end. A byte order mark and CRLF are tolerated.
    ///
    /// # Errors
    ///
    /// As reading does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next one goes on where it was.
    pub async fn next(&mut self) -> io::Result<Option<Item>> {
        let Some((number, line)) = self.lines.next().await? else {
            return Ok(None);
        };
        let call = line.and_then(InputCall::parse).and_then(|call| {
            self.base.join(&call.url).map_err(Reason::Url)?;
            match self.seen.insert(&call.custom_id, number) {
                Some(first) => Err(Reason::Duplicate(first)),
                None => Ok(call),
            }
        });
        Ok(Some(match call {
            Ok(call) => Item::Call(call),
            Err(reason) => Item::Bad(BadLine { number, reason }),
        }))
    }
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    fn new(inner: R, limit: usize) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            number: 0,
            too_long: false,
            limit,
            given: false,
        }
    }

    async fn next(&mut self) -> io::Result<Option<(u64, Result<&[u8], Reason>)>> {
        loop {
            if std::mem::take(&mut self.given) {
                self.buffer.clear();
                self.buffer.shrink_to(KEPT_BUFFER);
                self.too_long = false;
            }
            if !self.fill().await? {
                return Ok(None);
            }
            self.given = true;
            self.number += 1;
            if self.number == 1 && self.buffer.starts_with(BOM) {
                self.buffer.drain(..BOM.len());
            }
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

    /// Reads up to the end of the line; false where nothing is left.
    async fn fill(&mut self) -> io::Result<bool> {
        loop {
            let chunk = self.inner.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(!self.buffer.is_empty() || self.too_long);
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
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

/// How many lines are not blank.
///
/// # Errors
///
/// As reading does.
pub async fn count_calls<R: AsyncBufRead + Unpin>(mut inner: R) -> io::Result<u64> {
    let (mut count, mut in_line) = (0_u64, false);
    loop {
        let chunk = inner.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(count + u64::from(in_line));
        }
        for byte in chunk {
            match byte {
                b'\n' => count += u64::from(std::mem::take(&mut in_line)),
                byte if !byte.is_ascii_whitespace() => in_line = true,
                _ => {}
            }
        }
        let taken = chunk.len();
        inner.consume(taken);
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use futures_util::FutureExt;
    use tokio::io::{AsyncWriteExt, BufReader};

    use super::*;

    const GOOD: &str =
        r#"{"custom_id":"ID","method":"POST","url":"/v1/chat/completions","body":{}}"#;

    fn good(id: &str) -> String {
        GOOD.replace("ID", id)
    }

    async fn read(text: &[u8]) -> Result<Vec<String>, Box<dyn Error>> {
        let mut reader = Reader::new(BufReader::with_capacity(7, text), "http://h/v1".parse()?);
        let mut found = Vec::new();
        while let Some(item) = reader.next().await? {
            found.push(match item {
                Item::Call(call) => call.custom_id,
                Item::Bad(bad) => bad.to_string(),
            });
        }
        Ok(found)
    }

    #[tokio::test]
    async fn marks_blanks_and_crlf_are_tolerated_and_the_rest_named() -> Result<(), Box<dyn Error>>
    {
        let text = format!(
            "\u{feff}{}\r\n\n  \t\r\n{}\nnonsense\n{}\n{}",
            good("a"),
            good("b"),
            good("a"),
            good("c"),
        );
        assert_eq!(
            read(text.as_bytes()).await?,
            [
                "a",
                "b",
                "line 5: not JSON (column 2)",
                "line 6: `custom_id` stands on line 1 already",
                "c"
            ]
        );
        assert_eq!(count_calls(text.as_bytes()).await?, 5);
        assert_eq!(read(b"").await?, Vec::<String>::new());
        assert_eq!(read("\u{feff}".as_bytes()).await?, Vec::<String>::new());
        Ok(())
    }

    #[tokio::test]
    async fn a_url_of_another_host_is_a_bad_line() -> Result<(), Box<dyn Error>> {
        let text = good("a").replace("/v1/chat", "https://other/v1/chat");
        assert_eq!(
            read(text.as_bytes()).await?,
            ["line 1: `url`: it is not a path that begins with /"]
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_line_too_long_is_skipped_to_its_end() -> Result<(), Box<dyn Error>> {
        let text = format!(
            "12345678\n1234567\n{}\n12\n{}",
            "x".repeat(100),
            "y".repeat(9)
        );
        let mut lines = Lines::new(BufReader::with_capacity(3, text.as_bytes()), 8);
        let mut found = Vec::new();
        while let Some((number, line)) = lines.next().await? {
            found.push((number, line.map(<[u8]>::len)));
        }
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

    #[tokio::test]
    async fn a_dropped_read_loses_nothing() -> Result<(), Box<dyn Error>> {
        let (mut there, here) = tokio::io::duplex(64);
        let mut reader = Reader::new(BufReader::new(here), "http://h".parse()?);
        let line = good("a");
        let (head, tail) = line.split_at(20);
        there.write_all(head.as_bytes()).await?;
        assert!(reader.next().now_or_never().is_none());
        assert!(reader.next().now_or_never().is_none());
        there.write_all(tail.as_bytes()).await?;
        drop(there);
        assert!(matches!(reader.next().await?, Some(Item::Call(call)) if call.custom_id == "a"));
        assert!(reader.next().await?.is_none());
        Ok(())
    }
}
