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

use super::{ResponseBody, ResponseFuture, layer::Settings, problem::Manner};
use crate::BoxError;

/// Refuses what is beyond a caller's quota; see the [module](super).
#[derive(Debug, Clone)]
pub struct Enforce<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Enforce<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service itself.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for Enforce<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let manner = Manner::of(request.uri().path(), request.headers());
        if Call::of(&request).is_some() {
            return ResponseFuture::decided(&mut self.inner, request, &manner, &self.settings);
        }
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let read = ReadCall::new(request, &self.settings.read);
        ResponseFuture::reading(read, ready, manner, self.settings.clone())
    }
}
