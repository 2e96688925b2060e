use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{End, Peeked};

use super::attempt::Attempt;

pin_project! {
    /// Response body of [`Meter`](super::Meter); see the [module docs](super).
    pub struct ResponseBody<B: Body> {
        #[pin]
        inner: Inner<B>,
        // After the body, so that whatever that holds is given back before the report.
        attempt: Option<Attempt>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B: Body> {
        Empty,
        Body {
            #[pin]
            body: Peeked<B>,
        },
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(body: Peeked<B>, attempt: Option<Attempt>) -> Self {
        let attempt = match attempt {
            Some(attempt) if body.is_end_stream() => {
                attempt.end(End::Complete);
                None
            }
            attempt => attempt,
        };
        Self {
            inner: Inner::Body { body },
            attempt,
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            inner: Inner::Empty,
            attempt: None,
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let InnerProj::Body { mut body } = this.inner.project() else {
            return Poll::Ready(None);
        };
        let frame = ready!(body.as_mut().poll_frame(cx));
        if let Some(attempt) = this.attempt {
            let end = match &frame {
                None => Some(End::Complete),
                Some(Err(_)) => Some(End::Failed),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        attempt.read(data);
                    }
                    (frame.is_trailers() || body.is_end_stream()).then_some(End::Complete)
                }
            };
            if let Some((end, attempt)) = end.zip(this.attempt.take_if(|_| end.is_some())) {
                attempt.end(end);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Body { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Body { body } => body.size_hint(),
        }
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
