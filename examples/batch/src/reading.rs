//! The body of one answer, read to its end.

use std::{error::Error, time::SystemTime};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
    response::Parts,
};
use http_body_util::Full;
use tower_qwen_tokens::{Cause, Dialect, Verdict};

use crate::{
    assemble::{Assembler, StreamError},
    failure::chain,
    output::ErrorPart,
    request::is_streamable,
};

/// The longest answer that is kept. Unit: bytes.
pub const MAX_ANSWER: usize = 64 << 20;

/// An answer of which some bytes have come.
#[derive(Debug)]
pub struct Reading {
    /// Puts a stream together; `None` for what is none.
    assembler: Option<Assembler>,
    /// What is no stream.
    whole: BytesMut,
    length: usize,
    has_begun: bool,
}

impl Reading {
    /// Begins to read the answer with this head to a request of this dialect; `None` for an error that is known as one, of
    /// which nobody should have to wait for the end.
    #[must_use]
    pub fn begin(parts: &Parts, dialect: Option<Dialect>) -> Option<Self> {
        let is_stream = is_event_stream(&parts.headers) && dialect.is_none_or(is_streamable);
        if !parts.status.is_success() || !is_stream && parts.extensions.get::<Verdict>().is_some() {
            return None;
        }
        let is_native = dialect.is_some_and(Dialect::is_native);
        Some(Self {
            assembler: is_stream.then(|| Assembler::new(is_native)),
            whole: BytesMut::new(),
            length: 0,
            has_begun: false,
        })
    }

    /// Whether the provider has said that there will be no answer: then the end, which may be long in coming, adds nothing.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.assembler.as_ref().is_some_and(Assembler::is_failed)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// An answer that is longer than [`MAX_ANSWER`].
    pub fn push(&mut self, data: &[u8]) -> Result<(), ErrorPart> {
        self.length = self.length.saturating_add(data.len());
        if self.length > MAX_ANSWER {
            let message = format!("the answer is longer than {MAX_ANSWER} bytes");
            return Err(ErrorPart::new("body", message));
        }
        let mut data = data;
        if !self.has_begun {
            data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
            if let Some(first) = data.trim_ascii_start().first() {
                self.has_begun = true;
                // JSON that is only called a stream: no field of an event begins so.
                self.assembler.take_if(|_| matches!(first, b'{' | b'['));
            }
        }
        match &mut self.assembler {
            Some(assembler) => assembler.push(data),
            None => self.whole.extend_from_slice(data),
        }
        Ok(())
    }

    /// The answer in one piece, at the end of its body or where it `broke` off.
    ///
    /// Where it is an error the [`Verdict`] stands in its extensions, and so does an [`ErrorPart`] where it is no answer at
    /// all. What was read before, by a layer further in, is believed.
    pub fn finish(
        self,
        mut parts: Parts,
        broke: Option<&(dyn Error + 'static)>,
    ) -> Response<Full<Bytes>> {
        let broke = broke.map(|error| ErrorPart::new("body", chain(error)));
        match self.assembler.map(Assembler::finish) {
            // What comes after the end of an answer, and how, does not matter.
            Some(Ok(body)) => {
                let json = HeaderValue::from_static("application/json");
                parts.headers.insert(CONTENT_TYPE, json);
                parts.headers.remove(CONTENT_LENGTH);
                Response::from_parts(parts, body.into())
            }
            Some(Err(StreamError::Event { verdict, data })) => {
                judge(&mut parts, verdict);
                Response::from_parts(parts, data.into())
            }
            Some(Err(error)) => {
                let cut = || ErrorPart::new("stream_cut", error.to_string());
                broken(parts, broke.unwrap_or_else(cut))
            }
            None => match broke {
                Some(error) => broken(parts, error),
                None => whole(parts, self.whole.freeze()),
            },
        }
    }
}

/// An answer that is no stream: it may be an error, though its status is one of success.
fn whole(mut parts: Parts, body: Bytes) -> Response<Full<Bytes>> {
    #[allow(clippy::disallowed_methods, reason = "for dates, not for waits")]
    let verdict = Verdict::of_success(&parts.headers, &body, SystemTime::now());
    if let Some(verdict) = verdict {
        judge(&mut parts, verdict);
    }
    Response::from_parts(parts, body.into())
}

/// No answer: it broke off, which another attempt may not.
fn broken(mut parts: Parts, error: ErrorPart) -> Response<Full<Bytes>> {
    parts.extensions.insert(error);
    judge(&mut parts, Verdict::of_cause(Cause::Transport));
    Response::from_parts(parts, Full::default())
}

/// The answer of a body that is too long. Another attempt would be as long.
pub(crate) fn too_long(mut parts: Parts, error: ErrorPart) -> Response<Full<Bytes>> {
    parts.extensions.insert(error);
    Response::from_parts(parts, Full::default())
}

fn judge(parts: &mut Parts, verdict: Verdict) {
    parts.extensions.get_or_insert_with(|| verdict);
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_stream_may_have_parameters() {
        for (kind, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/json", false),
            ("text/event-stream-x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_event_stream(&headers), expected, "{kind}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
