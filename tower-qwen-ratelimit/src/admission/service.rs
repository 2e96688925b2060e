use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture, layer::Options};
use crate::{BoxError, limiter::Limiter};

/// Waits for quota before each call of `S`; see the [module](super).
#[derive(Debug, Clone)]
pub struct Admission<S> {
    inner: S,
    limiter: Limiter,
    options: Options,
}

impl<S> Admission<S> {
    pub(super) fn new(inner: S, limiter: Limiter, options: Options) -> Self {
        Self {
            inner,
            limiter,
            options,
        }
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

impl<S, B, RB> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + From<bytes::Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B, RB>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(
            self.inner.clone(),
            request,
            self.limiter.clone(),
            self.options.clone(),
        )
    }
}
