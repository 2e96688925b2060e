use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{ResponseFuture, settings::BudgetSettings};
use crate::BoxError;

/// Reserves money and tokens before each call of the inner service, and settles after it. See the
/// [module docs](super).
#[derive(Debug, Clone)]
pub struct BudgetService<S> {
    inner: S,
    settings: Arc<BudgetSettings>,
}

impl<S> BudgetService<S> {
    pub(super) fn new(inner: S, settings: Arc<BudgetSettings>) -> Self {
        Self { inner, settings }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for BudgetService<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The inner service is made ready after the reservation: a connection must not be held for a
        // call that does not go.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), request, self.settings.clone())
    }
}
