use std::{
    task::{Context, Poll},
    time::Duration,
};

use http::Response;
use tower_service::Service;

use crate::macros::inner_accessors;

use super::{ResponseBody, ResponseFuture};

/// Ends an answer whose body stalls. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct StallTimeout<S> {
    pub(super) inner: S,
    pub(super) timeout: Duration,
}

impl<S> StallTimeout<S> {
    inner_accessors!();
}

impl<S, R, RB> Service<R> for StallTimeout<S>
where
    S: Service<R, Response = Response<RB>>,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.timeout)
    }
}
