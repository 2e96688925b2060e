//! The calls of the input, one at a time.

use std::{collections::VecDeque, fmt, io, sync::Arc};

use tokio::io::AsyncBufRead;

use super::{
    BadLine, InputCall, Place, Reason, Unusable,
    file::{File, Parsed},
    format::Options,
    selection::Selection,
    source::Source,
    unusable::WrongFormat,
};
use crate::{base_url::BaseUrl, ids::Ids};

/// Files have numbers above those of lines, in one number for each place.
const LINE_BITS: u32 = 40;

/// Reads calls. Holds one line and a fingerprint of each id at a time.
pub struct Reader<'a> {
    files: VecDeque<Source>,
    current: Option<File<'a>>,
    names: Vec<Arc<str>>,
    has_several: bool,
    options: Options,
    selection: Selection,
    base: Option<BaseUrl>,
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

impl<'a> Reader<'a> {
    /// Reads lines of the batch format from `content`; `base` is where the paths will be joined to.
    pub fn new(content: impl AsyncBufRead + Unpin + Send + 'a, base: BaseUrl) -> Self {
        let name: Arc<str> = "input".into();
        Self {
            current: Some(File::new(Arc::clone(&name), Box::new(content))),
            names: vec![name],
            ..Self::of([], Options::default(), Selection::default())
        }
        .at(base)
    }

    pub(super) fn of(
        files: impl Into<VecDeque<Source>>,
        options: Options,
        selection: Selection,
    ) -> Self {
        let files = files.into();
        Self {
            has_several: files.len() > 1,
            files,
            current: None,
            names: Vec::new(),
            options,
            selection,
            base: None,
            seen: Ids::default(),
        }
    }

    /// Paths will be joined to this; those that cannot are bad lines.
    #[must_use]
    pub fn at(mut self, base: BaseUrl) -> Self {
        self.base = Some(base);
        self
    }

    /// Reads up to the first good line of the first file.
    ///
    /// # Errors
    ///
    /// [`Unusable`] where none of its first lines is good.
    pub(super) async fn check(&mut self) -> Result<(), Unusable> {
        self.open();
        let Some(file) = &mut self.current else {
            return Ok(());
        };
        let checked = file.check(&self.options).await;
        checked.map_err(|error| Unusable::of(self.name(), self.name(), &error))
    }

    /// The next call or line that is none; `None` at the end. Byte order marks, blank lines and CRLF are tolerated.
    ///
    /// # Errors
    ///
    /// As reading does, and [`Unusable`] inside of it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next one goes on where it was.
    pub async fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            self.open();
            let Some(file) = &mut self.current else {
                return Ok(None);
            };
            match file.next(&self.options).await {
                Ok(Some(parsed)) => {
                    if let Some(item) = self.item(parsed) {
                        return Ok(Some(item));
                    }
                }
                Ok(None) => self.current = None,
                Err(error) => return Err(self.named(error)),
            }
        }
    }

    /// Shows whole calls of the selection that are there without a wait, with those of the first lines. They are still given,
    /// and bad lines are passed over.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn peek(&mut self, mut each: impl FnMut(&InputCall)) -> io::Result<()> {
        self.open();
        let Some(file) = &mut self.current else {
            return Ok(());
        };
        let selection = &self.selection;
        let peeked = file.peek(&self.options, |call| {
            if selection.takes(&call.custom_id) {
                each(call);
            }
        });
        peeked.await.map_err(|error| self.named(error))
    }

    /// Opens the next file where none is open.
    fn open(&mut self) {
        if self.current.is_none()
            && let Some(source) = self.files.pop_front()
        {
            self.names.push(Arc::clone(&source.name));
            self.current = Some(File::new(Arc::clone(&source.name), source.content()));
        }
    }

    /// What a line is; `None` for what is not of the selection.
    fn item(&mut self, Parsed { line, call }: Parsed) -> Option<Item> {
        let is_taken = match &call {
            Ok(call) => self.selection.takes(&call.custom_id),
            Err(_) => self.selection.takes_bad(self.name(), line),
        };
        if !is_taken {
            return None;
        }
        let number = line | ((self.names.len() as u64 - 1) << LINE_BITS);
        let call = call.and_then(|call| {
            if let Some(base) = &self.base {
                base.join(&call.url).map_err(Reason::Url)?;
            }
            match self.seen.insert(&call.custom_id, number) {
                Some(first) => Err(Reason::Duplicate(self.place(first))),
                None => Ok(call),
            }
        });
        Some(match call {
            Ok(call) => Item::Call(call),
            Err(reason) => Item::Bad(BadLine {
                place: self.place(number),
                reason,
            }),
        })
    }

    fn place(&self, number: u64) -> Place {
        let file = usize::try_from(number >> LINE_BITS)
            .ok()
            .and_then(|file| self.names.get(file));
        Place {
            file: file.filter(|_| self.has_several).cloned(),
            line: number & ((1 << LINE_BITS) - 1),
        }
    }

    fn name(&self) -> &str {
        self.names.last().map_or("input", |name| name)
    }

    /// An error with the name of the file, where it is one of reading.
    fn named(&self, error: io::Error) -> io::Error {
        let is_named = error
            .get_ref()
            .is_some_and(|inner| inner.is::<Unusable>() || inner.is::<WrongFormat>());
        match is_named {
            true => Unusable::of(self.name(), self.name(), &error).into(),
            false => io::Error::new(error.kind(), format!("{}: {error}", self.name())),
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("current", &self.current)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
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
