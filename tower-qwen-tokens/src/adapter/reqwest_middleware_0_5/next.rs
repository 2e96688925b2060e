use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Next};
use tower_service::Service;

use crate::{macros::opaque_debug, shared::lock};

/// The middlewares below and the client, as a service for the attempts of one call.
#[derive(Clone)]
pub struct NextService<'a> {
    next: Next<'a>,
    extensions: SharedExtensions,
}

/// The middlewares' extensions of one call.
#[derive(Clone)]
pub(super) struct SharedExtensions(Arc<Mutex<Extensions>>);

impl<'a> NextService<'a> {
    pub(super) fn new(next: Next<'a>, extensions: SharedExtensions) -> Self {
        Self { next, extensions }
    }
}

impl SharedExtensions {
    pub(super) fn new(extensions: Extensions) -> Self {
        Self(Arc::new(Mutex::new(extensions)))
    }

    pub(super) fn get(&self) -> Extensions {
        lock(&self.0).clone()
    }
}

impl<'a> Service<Request> for NextService<'a> {
    type Response = Response;
    type Error = Error;
    // `Next::run` borrows the extensions, which have to live beside the future it gives.
    type Future = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self { next, extensions } = self.clone();
        Box::pin(async move {
            let mut own = extensions.get();
            let answer = next.run(request, &mut own).await;
            // Only a finished attempt writes back, and no lock is held across an await.
            *lock(&extensions.0) = own;
            answer
        })
    }
}

opaque_debug!(NextService, impl std::fmt::Debug for NextService<'_>);
