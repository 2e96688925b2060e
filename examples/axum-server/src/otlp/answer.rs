//! What an answer says of itself: which model wrote it, and why that stopped.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::call_span::CallTrace;

/// The keys of all dialects. A text of the model's cannot be taken for one: its quotes are escaped.
const KEYS: [(&[u8], Member); 3] = [
    (br#""model""#, Member::Model),
    (br#""finish_reason""#, Member::Reason),
    (br#""stop_reason""#, Member::Reason),
];
/// Longer than any member there is.
const MAX_MEMBER: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Model,
    Reason,
}

/// A member goes on in the next piece.
#[derive(Debug)]
struct Cut;

/// Finds the members in the pieces of an answer.
#[derive(Debug, Default)]
struct Reader {
    /// The beginning of a member.
    rest: Vec<u8>,
}

pin_project! {
    /// A body that is read on its way, if its call is traced.
    #[derive(Debug)]
    pub struct ReadBody<B> {
        #[pin]
        body: B,
        reader: Option<(Reader, CallTrace)>,
    }
}

impl<B> ReadBody<B> {
    pub(super) fn new(body: B, trace: Option<CallTrace>) -> Self {
        Self {
            body,
            reader: trace.map(|trace| (Reader::default(), trace)),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ReadBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some((reader, trace)) = this.reader
            && let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            reader.read(data, |member, value| trace.note(member, value));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Reader {
    fn read(&mut self, data: &[u8], mut found: impl FnMut(Member, &str)) {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(data);
        let mut at = 0;
        while let Some(quote) = all[at..].iter().position(|byte| *byte == b'"') {
            at += quote;
            let text = &all[at..];
            let of = |(key, _): &&(&[u8], Member)| text.starts_with(key) || key.starts_with(text);
            if let Some((key, member)) = KEYS.iter().find(of) {
                match text.strip_prefix(*key).ok_or(Cut).and_then(value) {
                    Ok(Some(value)) => found(*member, value),
                    Err(Cut) if text.len() < MAX_MEMBER => {
                        self.rest = all.split_off(at);
                        return;
                    }
                    _ => {}
                }
            }
            at += 1;
        }
    }
}

/// The text that is a key's value, if it is one.
fn value(text: &[u8]) -> Result<Option<&str>, Cut> {
    let Some(text) = after(text, b':')? else {
        return Ok(None);
    };
    let Some(text) = after(text, b'"')? else {
        return Ok(None);
    };
    let end = text.iter().position(|byte| *byte == b'"').ok_or(Cut)?;
    Ok(str::from_utf8(&text[..end]).ok())
}

/// What follows this byte, if that comes next.
fn after(text: &[u8], byte: u8) -> Result<Option<&[u8]>, Cut> {
    let (first, rest) = text.trim_ascii_start().split_first().ok_or(Cut)?;
    Ok((*first == byte).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(Member, String)> {
        let (mut reader, mut all) = (Reader::default(), Vec::new());
        for piece in pieces {
            reader.read(piece, |member, value| all.push((member, value.to_owned())));
        }
        all
    }

    #[test]
    fn an_answer_is_read_however_it_is_cut() {
        let text = br#"{"choices":[{"message":{"content":"\"model\":\"no\", \"stop_reason\": \"no\""},
            "finish_reason" : "stop"},{"finish_reason":null},{"role":"model","stop_reason":"length"}],
            "model":"qwen-plus","models":"no","mode":"no"}"#;
        let expected = [
            (Member::Reason, "stop".to_owned()),
            (Member::Reason, "length".to_owned()),
            (Member::Model, "qwen-plus".to_owned()),
        ];
        assert_eq!(read(&[text]), expected);
        for cut in 0..text.len() {
            let (one, other) = text.split_at(cut);
            assert_eq!(read(&[one, other]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn what_has_no_end_is_not_kept() {
        let mut reader = Reader::default();
        for piece in [&br#"{"model":""#[..], &[b'x'; 10 * MAX_MEMBER]] {
            reader.read(piece, |_, _| panic!("nothing is there"));
        }
        assert!(reader.rest.is_empty());
    }
}
