use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::reservation::Reservation;

pin_project! {
    /// The response body of [`Enforce`](super::Enforce): the handler's, unchanged, or that of a
    /// rejection.
    ///
    /// Its data is [`Bytes`]. If the handler's data is `Bytes` too, nothing is copied; any other
    /// buffer is copied once.
    pub struct ResponseBody<B> {
        #[pin]
        kind: BodyKind<B>,
    }
}

pin_project! {
    #[project = BodyKindProj]
    enum BodyKind<B> {
        Rejection {
            text: Option<Bytes>,
        },
        Handler {
            #[pin]
            body: B,
            // Declared after the body, so it is dropped after it: a Meter below reports before the
            // reservation ends.
            running: Option<Arc<Reservation>>,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn rejection(text: Bytes) -> Self {
        Self {
            kind: BodyKind::Rejection { text: Some(text) },
        }
    }

    pub(super) fn from_handler(body: B, running: Option<Arc<Reservation>>) -> Self
    where
        B: Body,
    {
        // Nobody polls an empty body to its end, so its call ends here.
        let running = running.filter(|_| !body.is_end_stream());
        Self {
            kind: BodyKind::Handler { body, running },
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
        match self.project().kind.project() {
            BodyKindProj::Rejection { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text))))
            }
            BodyKindProj::Handler { mut body, running } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                // The end, an error, or the last frame: many callers stop polling after
                // `is_end_stream`.
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    *running = None;
                }
                Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(into_bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Rejection { text } => text.is_none(),
            BodyKind::Handler { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodyKind::Rejection { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            BodyKind::Handler { body, .. } => body.size_hint(),
        }
    }
}

fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// An empty body: tower-http's `Timeout` needs one for its own response.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self {
            kind: BodyKind::Rejection { text: None },
        }
    }
}

opaque_debug!(ResponseBody, impl<B> std::fmt::Debug for ResponseBody<B>);
