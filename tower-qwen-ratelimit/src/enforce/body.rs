use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::reservation::Reservation;

pin_project! {
    /// The handler's body, unchanged, or the refusal's.
    ///
    /// Its data is [`Bytes`]. Where the handler's is too, nothing is copied; a buffer of another type is copied once.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Rejection {
            text: Option<Bytes>,
        },
        Passed {
            #[pin]
            body: B,
            // After the body, so that a Meter below has reported when this goes.
            running: Option<Arc<Reservation>>,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn refusal(text: Bytes) -> Self {
        Self {
            inner: Inner::Rejection { text: Some(text) },
        }
    }

    pub(super) fn passed(body: B, running: Option<Arc<Reservation>>) -> Self
    where
        B: Body,
    {
        let running = running.filter(|_| !body.is_end_stream());
        Self {
            inner: Inner::Passed { body, running },
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().inner.project() {
            InnerProj::Rejection { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text))))
            }
            InnerProj::Passed { mut body, running } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    *running = None;
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Rejection { text } => text.is_none(),
            Inner::Passed { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Rejection { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Inner::Passed { body, .. } => body.size_hint(),
        }
    }
}

fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// An empty body, as tower-http's `Timeout` answers with.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self {
            inner: Inner::Rejection { text: None },
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
