use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Response;
use pin_project_lite::pin_project;

use super::ResponseBody;
use crate::macros::opaque_debug;

pin_project! {
    /// Response future of [`StallTimeout`](super::StallTimeout). See the [module docs](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        timeout: Duration,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, timeout: Duration) -> Self {
        Self { inner, timeout }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let timeout = *this.timeout;
        Poll::Ready(Ok(response.map(|body| ResponseBody::new(body, timeout))))
    }
}

opaque_debug!(ResponseFuture, impl<F> std::fmt::Debug for ResponseFuture<F>);
