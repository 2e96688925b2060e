use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_qwen_tokens::{Call, call::ReadCall};
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, layer::Shared};
use crate::BoxError;

/// Sends calls again that failed for a reason that may go away. See the [module page](crate::retry).
#[derive(Debug, Clone)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, RB> Service<Request<B>> for Retry<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    /// Sends the call, and again where that may help.
    ///
    /// # Panics
    ///
    /// May panic where the inner service does when it is called before it was ready.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let not_ready_inner = self.inner.clone();
        let ready_inner = mem::replace(&mut self.inner, not_ready_inner);
        let shared = Arc::clone(&self.shared);
        if Call::of(&request).is_some() {
            ResponseFuture::calling(ready_inner, request, shared)
        } else {
            let read = ReadCall::new(request, &shared.reading);
            ResponseFuture::reading(ready_inner, read, shared)
        }
    }
}
