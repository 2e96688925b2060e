use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_qwen_tokens::internal::{PeekedBody, opaque_debug};

pin_project! {
    /// The body of the inner service, unchanged. See the [module docs](crate::retry).
    pub struct ResponseBody<B>
    where
        B: Body,
    {
        #[pin]
        inner: PeekedBody<B>,
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(inner: PeekedBody<B>) -> Self {
        Self { inner }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

opaque_debug!(ResponseBody, impl<B: Body> std::fmt::Debug for ResponseBody<B>);
