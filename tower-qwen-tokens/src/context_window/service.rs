use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    Call,
    call::{BoxError, ReadCall},
    macros::inner_accessors,
};

use super::{ResponseFuture, guard::Settings};

/// Guards the context window of a call's model; see the [module docs](super).
#[derive(Debug, Clone)]
pub struct ContextWindow<S> {
    pub(super) inner: S,
    pub(super) settings: Arc<Settings>,
}

impl<S> ContextWindow<S> {
    /// A service with the defaults of [`ContextWindowLayer`](super::ContextWindowLayer).
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            settings: Arc::default(),
        }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for ContextWindow<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = ResponseFuture<S, S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if Call::of(&request).is_some() {
            return match self.settings.admit(&mut request) {
                Ok(note) => ResponseFuture::calling(self.inner.call(request), note),
                Err(exceeded) => ResponseFuture::rejected(exceeded),
            };
        }
        // The service that was polled ready goes into the future; the clone takes its place and is
        // polled anew.
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let read = ReadCall::new(request, &self.settings.read_options);
        ResponseFuture::reading(read, ready, Arc::clone(&self.settings))
    }
}
