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

use super::{ResponseBody, ResponseFuture, settings::Settings};
use crate::BoxError;

/// Sends a call again if it failed for a reason that may go away. See the [module
/// docs](crate::retry).
#[derive(Debug, Clone)]
pub struct Retry<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
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

    /// Sends the call, and sends it again after a transient failure.
    ///
    /// # Panics
    ///
    /// May panic where the inner service does when it is called before it was ready.
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let not_ready_inner = self.inner.clone();
        let ready_inner = mem::replace(&mut self.inner, not_ready_inner);
        let settings = Arc::clone(&self.settings);
        if Call::of(&request).is_some() {
            ResponseFuture::calling(ready_inner, request, settings)
        } else {
            let read = ReadCall::new(request, &settings.read_options);
            ResponseFuture::reading(ready_inner, read, settings)
        }
    }
}
