//! The body of an upload: a form with the file in it, read while it is sent.

use std::{io, path::Path};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use tokio::fs::File;
use tokio_util::io::ReaderStream;

/// A body that is read while it is sent.
pub(super) type UploadBody = UnsyncBoxBody<Bytes, io::Error>;

/// A form with a file.
pub(super) struct Form {
    /// The value of `Content-Type`.
    pub(super) content_type: String,
    /// Bytes in all. Stated, since not every host takes a body of unknown length.
    pub(super) length: u64,
    pub(super) body: UploadBody,
}

impl Form {
    /// The form that uploads this file under this name for the Batch API.
    ///
    /// # Errors
    ///
    /// As opening the file does.
    pub(super) async fn of(path: &Path, name: &str) -> io::Result<Self> {
        let file = File::open(path).await?;
        // Random, so that no line of the file has it.
        let boundary = format!("tower-qwen-{:032x}", fastrand::u128(..));
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let around = head.len() as u64 + tail.len() as u64;
        let length = file.metadata().await?.len() + around;
        let one = |text: String| stream::iter([Ok(Bytes::from(text))]);
        let content = one(head).chain(ReaderStream::new(file)).chain(one(tail));
        Ok(Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            length,
            body: StreamBody::new(content.map(|chunk| chunk.map(Frame::data))).boxed_unsync(),
        })
    }
}
