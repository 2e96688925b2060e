//! The beginning of a file, up to the first byte that is not blank.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Content of which nothing but blank lines has been read.
#[derive(Debug)]
pub(super) struct Start<R> {
    content: R,
    lines: u64,
    has_begun: bool,
}

impl<R: AsyncBufRead + Unpin> Start<R> {
    pub(super) fn new(content: R) -> Self {
        Self {
            content,
            lines: 0,
            has_begun: false,
        }
    }

    /// The first byte that is not blank, which stays in the content; `None` where there is none. A byte order mark and
    /// blank lines in front of it are taken out.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let chunk = self.content.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let mark = match std::mem::replace(&mut self.has_begun, true) {
                false if chunk.starts_with(BOM) => BOM.len(),
                _ => 0,
            };
            let text = &chunk[mark..];
            let first = text.iter().position(|byte| !byte.is_ascii_whitespace());
            let blank = &text[..first.unwrap_or(text.len())];
            let lines = blank.iter().filter(|&&byte| byte == b'\n').count();
            // What stands before the first byte on its own line belongs to it.
            let taken = match blank.iter().rposition(|&byte| byte == b'\n') {
                Some(last) => last + 1,
                None if first.is_none() => blank.len(),
                None => 0,
            };
            let found = first.map(|first| text[first]);
            self.lines += u64::try_from(lines).unwrap_or(u64::MAX);
            self.content.consume(mark + taken);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// The rest of the content, and how many lines are gone before it.
    pub(super) fn into_rest(self) -> (R, u64) {
        (self.content, self.lines)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, BufReader};

    use super::*;

    #[tokio::test]
    async fn marks_and_blank_lines_go_and_are_counted() -> io::Result<()> {
        for (text, first, rest, lines) in [
            ("\u{feff}{}", Some(b'{'), "{}", 0),
            ("\u{feff}\r\n\n \t\n  {}\n", Some(b'{'), "  {}\n", 3),
            ("a\n", Some(b'a'), "a\n", 0),
            ("\u{feff}", None, "", 0),
            (" \n \n ", None, "", 2),
            ("", None, "", 0),
        ] {
            for capacity in 3..8 {
                let content = BufReader::with_capacity(capacity, text.as_bytes());
                let mut start = Start::new(content);
                assert_eq!(start.first_byte().await?, first, "{text:?}");
                let (mut content, gone) = start.into_rest();
                let mut left = String::new();
                content.read_to_string(&mut left).await?;
                assert_eq!(left.trim_start_matches(' '), rest.trim_start_matches(' '));
                assert_eq!(gone, lines, "{text:?}");
            }
        }
        Ok(())
    }
}
