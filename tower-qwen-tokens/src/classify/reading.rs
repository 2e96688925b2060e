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
    scan::{EventProgress, Scanner},
    shared::{PeekedBody, clock::WallClock, peeked_body::AfterHead},
};

use super::{
    json_head::{JsonHead, JsonState},
    options::{Classified, RequestContext},
};

/// The most frames that are read to classify a body. The limit of bytes does not bound empty
/// frames, and all are stored.
const MAX_FRAMES: usize = 1024;

/// An answer while the beginning of its body is read.
pub(super) struct Reading<B: Body> {
    parts: Parts,
    // In a box, since it is polled here and returned later, and a pinned body cannot move. A
    // success that is not held back never comes here, so the fast path has no allocation.
    body: Pin<Box<B>>,
    frames: VecDeque<Frame<B::Data>>,
    head: Head,
    limit: usize,
}

/// The part of a body that was read.
pub(super) enum Head {
    /// The first bytes of an error answer.
    Error(Vec<u8>),
    /// The scanner of a stream's first events, and their length in bytes.
    Events(Box<Scanner>, usize),
    /// The first bytes of a success that is JSON.
    Json(Box<JsonHead>),
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

    /// Whether something of the body came that its reader can use.
    pub(super) fn has_begun(&self) -> bool {
        self.head.has_begun()
    }

    /// Reads until the head decides or is long enough; returns what comes after it.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<AfterHead<B::Error>> {
        while self.head.len() < self.limit && self.frames.len() < MAX_FRAMES {
            let frame = match self.body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(AfterHead::End),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(AfterHead::Error(error)),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            let is_decided = frame
                .data_ref()
                .is_some_and(|data| self.head.push(data, self.limit));
            // No frame may be polled behind trailers.
            let last = frame.is_trailers();
            self.frames.push_back(frame);
            if is_decided || last || self.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(AfterHead::Rest)
    }

    pub(super) fn finish(
        mut self,
        after: AfterHead<B::Error>,
        context: &RequestContext,
        clock: &WallClock,
    ) -> Response<PeekedBody<B>> {
        // The caller has got nothing of it yet, so a break is like one before the headers.
        let is_broken = matches!(after, AfterHead::Error(_));
        let broken = || is_broken.then(|| Verdict::of_cause(Cause::Transport));
        let verdict = match self.head {
            Head::Error(head) => {
                let Parts {
                    status, headers, ..
                } = &self.parts;
                Some(Verdict::of_response(*status, headers, &head, clock.now()))
            }
            Head::Events(scanner, _) => scanner.failure().cloned().or_else(broken),
            // What has such members may have an error beside them, but is an answer.
            Head::Json(json) if json.state() == JsonState::Answer => None,
            Head::Json(json) => {
                Verdict::of_success(&self.parts.headers, json.bytes(), clock.now()).or_else(broken)
            }
        };
        put(&mut self.parts, verdict, context);
        Response::from_parts(
            self.parts,
            PeekedBody::with_head(self.frames, after, self.body),
        )
    }
}

/// Puts the verdict, if there is one, into the answer's extensions.
pub(super) fn put(parts: &mut Parts, verdict: Option<Verdict>, context: &RequestContext) {
    if let Some(verdict) = verdict {
        let verdict = context.correct(verdict, &parts.headers);
        parts.extensions.insert(verdict);
    }
    // So that a layer further out, which has the same options, does not classify it again.
    if context.affects_verdict() {
        parts.extensions.insert(Classified);
    }
}

impl Head {
    fn len(&self) -> usize {
        match self {
            Self::Error(head) => head.len(),
            Self::Events(_, length) => *length,
            Self::Json(json) => json.bytes().len(),
        }
    }

    /// Whether something of the body came that its reader can use.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Self::Error(_) | Self::Events(..) => true,
            Self::Json(json) => json.state() != JsonState::Blank,
        }
    }

    /// Reads a chunk without consuming it; returns whether the head decides now.
    fn push(&mut self, data: &impl Buf, limit: usize) -> bool {
        // More slices than any buffer of our transports has; what does not fit is not read, only
        // returned.
        let mut slices = [IoSlice::new(&[]); 16];
        let count = data.chunks_vectored(&mut slices);
        slices[..count]
            .iter()
            .any(|slice| self.push_slice(slice, limit))
    }

    fn push_slice(&mut self, slice: &[u8], limit: usize) -> bool {
        if let Self::Events(_, 0) = self
            && matches!(slice.trim_ascii_start().first(), Some(b'{' | b'['))
        {
            // A field has a name: this is JSON that is only called a stream.
            *self = Self::Json(Box::default());
        }
        match self {
            Self::Error(head) => {
                let room = limit - head.len();
                head.extend_from_slice(&slice[..slice.len().min(room)]);
                false
            }
            Self::Events(scanner, length) => {
                *length = length.saturating_add(slice.len());
                decides(scanner, slice)
            }
            Self::Json(json) => json.push(slice),
        }
    }
}

/// Reads event by event; returns whether one that has content or is an error has ended. Before its
/// end it may still become an error.
fn decides(scanner: &mut Scanner, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let (taken, progress) = scanner.push_event(bytes);
        bytes = &bytes[taken..];
        let has_ended = matches!(progress, EventProgress::Ended(_));
        if has_ended && (scanner.failure().is_some() || scanner.has_streamed()) {
            return true;
        }
    }
    false
}
