use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body whose beginning may have been read already: returns those frames first, then the
    /// rest.
    pub struct PeekedBody<B: Body> {
        head: VecDeque<Frame<B::Data>>,
        after: AfterHead<B::Error>,
        #[pin]
        rest: Rest<B>,
    }
}

pin_project! {
    #[project = RestProj]
    enum Rest<B> {
        Untouched {
            #[pin]
            body: B,
        },
        // Pinned since its head was read, so it cannot move any more. Only errors and held streams
        // pay for the box.
        Boxed {
            body: Pin<Box<B>>,
        },
    }
}

/// What comes after the head.
pub(crate) enum AfterHead<E> {
    /// The rest of the body.
    Rest,
    /// An error, then whatever the body gives.
    Error(E),
    /// The end.
    End,
}

impl<B: Body> PeekedBody<B> {
    /// A body that was not read yet.
    #[must_use]
    pub fn new(inner: B) -> Self {
        Self {
            head: VecDeque::new(),
            after: AfterHead::Rest,
            rest: Rest::Untouched { body: inner },
        }
    }

    /// A body whose frames `head` were read, and then `after`.
    pub(crate) fn with_head(
        head: VecDeque<Frame<B::Data>>,
        after: AfterHead<B::Error>,
        body: Pin<Box<B>>,
    ) -> Self {
        Self {
            head,
            after,
            rest: Rest::Boxed { body },
        }
    }
}

impl<B> Rest<B> {
    fn body(&self) -> &B {
        match self {
            Self::Untouched { body } => body,
            Self::Boxed { body } => body,
        }
    }
}

impl<B: Body> Body for PeekedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = this.head.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match std::mem::replace(this.after, AfterHead::Rest) {
            AfterHead::Rest => match this.rest.project() {
                RestProj::Untouched { body } => body.poll_frame(cx),
                RestProj::Boxed { body } => body.as_mut().poll_frame(cx),
            },
            AfterHead::Error(error) => Poll::Ready(Some(Err(error))),
            // Not polled again: a body may panic behind its end.
            AfterHead::End => {
                *this.after = AfterHead::End;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty()
            && match self.after {
                AfterHead::Rest => self.rest.body().is_end_stream(),
                AfterHead::Error(_) => false,
                AfterHead::End => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let head = self
            .head
            .iter()
            .filter_map(Frame::data_ref)
            .fold(0_u64, |sum, data| {
                sum.saturating_add(data.remaining() as u64)
            });
        let rest = match self.after {
            AfterHead::End => SizeHint::with_exact(0),
            AfterHead::Rest | AfterHead::Error(_) => self.rest.body().size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(head));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(head));
        }
        hint
    }
}

impl<B: Body> fmt::Debug for PeekedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekedBody")
            .field("head_frames", &self.head.len())
            .finish_non_exhaustive()
    }
}
