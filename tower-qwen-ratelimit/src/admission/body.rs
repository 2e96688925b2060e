use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_qwen_tokens::Peeked;

pin_project! {
    /// The answer's body, unchanged.
    #[derive(Debug)]
    pub struct ResponseBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: Peeked<B>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: Peeked<B>) -> Self {
        Self { inner }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
