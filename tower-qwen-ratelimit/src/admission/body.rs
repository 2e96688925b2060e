use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_qwen_tokens::internal::PeekedBody;

use crate::reservation::Reservation;

pin_project! {
    /// The response body of [`Admission`](super::Admission): the inner service's, unchanged.
    ///
    /// The call counts as running until the body ends or is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: PeekedBody<B>,
        // Declared after the inner body, so it is dropped after it: a Meter below reports before
        // the reservation ends.
        running: Option<Arc<Reservation>>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: PeekedBody<B>, running: Option<Arc<Reservation>>) -> Self {
        // Nobody polls an empty body to its end, so its call ends here.
        let running = running.filter(|_| !inner.is_end_stream());
        Self { inner, running }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        // The end, an error, or the last frame: many callers stop polling after `is_end_stream`.
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            *this.running = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
