use std::{
    collections::VecDeque,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http::{Response, response::Parts};
use http_body::{Body, Frame};

use crate::{
    Cause, Verdict,
    internal::{PeekedBody, clock::WallClock, peeked_body::After},
    scan::{EventProgress, Scanner},
};

use super::options::{Classified, RequestContext};

/// The most frames that are read before a body is classified: empty ones have no bytes to count.
const MAX_FRAMES: usize = 1024;

/// An answer whose head is being read.
pub(super) struct Reading<B: Body> {
    parts: Parts,
    // In a box since it is polled here and given on afterwards, and a pinned body cannot move. Error answers and streams.
    body: Pin<Box<B>>,
    frames: VecDeque<Frame<B::Data>>,
    head: Head,
    limit: usize,
}

/// What was read of a body.
pub(super) enum Head {
    /// The first bytes of an error answer.
    Error(Vec<u8>),
    /// The first events of a stream, and how many bytes they had.
    Events(Box<Scanner>, usize),
}

impl<B: Body> Reading<B> {
    pub(super) fn new(parts: Parts, body: B, head: Head, limit: usize) -> Self {
        Self {
            parts,
            body: Box::pin(body),
            frames: VecDeque::new(),
            head,
            limit,
        }
    }

    /// Reads on; ready with what comes after the head once there is enough of it.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<After<B::Error>> {
        while self.head.len() < self.limit && self.frames.len() < MAX_FRAMES {
            let frame = match self.body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(After::End),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(After::Error(error)),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            let known = frame
                .data_ref()
                .is_some_and(|data| self.head.push(data, self.limit));
            let last = frame.is_trailers();
            self.frames.push_back(frame);
            if known || last || self.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(After::Rest)
    }

    pub(super) fn finish(
        mut self,
        after: After<B::Error>,
        context: &RequestContext,
        clock: &WallClock,
    ) -> Response<PeekedBody<B>> {
        let verdict = match self.head {
            Head::Error(head) => {
                let Parts {
                    status, headers, ..
                } = &self.parts;
                Some(Verdict::of_response(*status, headers, &head, clock.now()))
            }
            Head::Events(scanner, _) => {
                // Nothing of it has gone on yet.
                let broken = matches!(after, After::Error(_));
                scanner
                    .failure()
                    .cloned()
                    .or_else(|| broken.then(|| Verdict::of_cause(Cause::Transport)))
            }
        };
        put(&mut self.parts, verdict, context);
        Response::from_parts(self.parts, PeekedBody::read(self.frames, after, self.body))
    }
}

/// Puts a verdict, if there is one, into the extensions of an answer that is classified now.
pub(super) fn put(parts: &mut Parts, verdict: Option<Verdict>, context: &RequestContext) {
    if let Some(verdict) = verdict {
        let verdict = context.correct(verdict, &parts.headers);
        parts.extensions.insert(verdict);
    }
    if context.knows_more() {
        parts.extensions.insert(Classified);
    }
}

impl Head {
    fn len(&self) -> usize {
        match self {
            Self::Error(head) => head.len(),
            Self::Events(_, length) => *length,
        }
    }

    /// Reads what a chunk shows without being consumed; says whether enough is known.
    fn push(&mut self, data: &impl Buf, limit: usize) -> bool {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = data.chunks_vectored(&mut slices);
        slices[..count].iter().any(|slice| match self {
            Self::Error(head) => {
                let room = limit - head.len();
                head.extend_from_slice(&slice[..slice.len().min(room)]);
                false
            }
            Self::Events(scanner, length) => {
                *length = length.saturating_add(slice.len());
                is_told(scanner, slice)
            }
        })
    }
}

/// Reads on event by event, up to the end of the first that has content or is an error: only that tells which it is.
fn is_told(scanner: &mut Scanner, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let (taken, passed) = scanner.push_event(bytes);
        bytes = &bytes[taken..];
        let has_ended = matches!(passed, EventProgress::Ended(_));
        if has_ended && (scanner.failure().is_some() || scanner.has_streamed()) {
            return true;
        }
    }
    false
}
