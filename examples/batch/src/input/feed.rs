//! Files read in a thread of their own: decoders block, and tokio would take a thread for every read all the same.

use std::{
    io::{self, Read},
    path::Path,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::{io::AsyncBufRead, sync::mpsc, task::spawn_blocking};
use tokio_util::io::StreamReader;

use super::unpack::unpack;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;
/// Chunks that are read ahead.
const AHEAD: usize = 2;

/// Where the bytes of an input come from.
pub(super) type Content<'a> = Box<dyn AsyncBufRead + Unpin + Send + 'a>;

/// The unpacked content of a file, or of the standard input where there is no path. Needs a tokio runtime.
pub(super) fn feed(path: Option<&Path>) -> Content<'static> {
    let path = path.map(Path::to_owned);
    feed_of(move || {
        let source: Box<dyn Read + Send> = match path {
            Some(path) => Box::new(std::fs::File::open(path)?),
            None => Box::new(io::stdin()),
        };
        unpack(source)
    })
}

fn feed_of(
    open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
) -> Content<'static> {
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    spawn_blocking(move || {
        let mut source = match open() {
            Ok(source) => source,
            Err(error) => {
                // The receiver may have gone.
                sender.blocking_send(Err(error)).ok();
                return;
            }
        };
        loop {
            let chunk = read(&mut *source).transpose();
            let is_last = !matches!(chunk, Some(Ok(_)));
            if chunk.is_some_and(|chunk| sender.blocking_send(chunk).is_err()) || is_last {
                return;
            }
        }
    });
    let chunks = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    Box::new(StreamReader::new(chunks.boxed()))
}

/// The next bytes; `None` at the end.
fn read(source: &mut dyn Read) -> io::Result<Option<Bytes>> {
    let mut chunk = BytesMut::zeroed(CHUNK);
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(None),
            Ok(length) => {
                chunk.truncate(length);
                return Ok(Some(chunk.freeze()));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// Fails where it would end.
    struct Broken(Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match Read::read(&mut self.0, buffer)? {
                0 => Err(io::Error::other("broken")),
                read => Ok(read),
            }
        }
    }

    #[tokio::test]
    async fn all_bytes_come_in_order_and_then_the_end_or_the_error() -> io::Result<()> {
        let text: Vec<u8> = (0..=250).cycle().take(5 * CHUNK + 7).collect();
        let mut read = Vec::new();
        let whole = text.clone();
        feed_of(move || Ok(Box::new(Cursor::new(whole))))
            .read_to_end(&mut read)
            .await?;
        assert!(read == text);
        read.clear();
        let broken = text.clone();
        let error = feed_of(move || Ok(Box::new(Broken(Cursor::new(broken)))))
            .read_to_end(&mut read)
            .await
            .expect_err("it is broken");
        assert_eq!(error.to_string(), "broken");
        assert!(read == text);
        let missing = feed(Some(Path::new("no such file")))
            .read_to_end(&mut read)
            .await;
        assert_eq!(
            missing.map_err(|error| error.kind()),
            Err(io::ErrorKind::NotFound)
        );
        Ok(())
    }
}
