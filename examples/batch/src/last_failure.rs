//! What the last attempt of a call failed with.
//!
//! Stands below Retry. A call that passes its deadline while it waits for another attempt has no answer of its own: its
//! line then says what the attempts before failed with, which the deadline would hide.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tower_qwen_tokens::call::BoxError;

use crate::failure::{Known, of_error, of_parts};

/// Notes failures in the [`LastFailure`] of the request.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct LastFailureLayer;

/// See the module.
#[derive(Debug, Clone)]
pub struct LastFailureService<S> {
    inner: S,
}

/// The last failure of one call. Goes into its request's extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct LastFailure(Arc<Mutex<Option<Known>>>);

pin_project! {
    /// The future of [`LastFailureService`].
    pub struct LastFailureFuture<F> {
        #[pin]
        inner: F,
        last: Option<LastFailure>,
    }
}

impl LastFailure {
    /// The last failure, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<Known> {
        self.known().clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for LastFailureLayer {
    type Service = LastFailureService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LastFailureService { inner }
    }
}

impl<S, B, RB> Service<Request<B>> for LastFailureService<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = LastFailureFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        LastFailureFuture {
            last: request.extensions().get().cloned(),
            inner: self.inner.call(request),
        }
    }
}

impl<F, RB> Future for LastFailureFuture<F>
where
    F: Future<Output = Result<Response<RB>, BoxError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(last) = this.last {
            let failure = match &result {
                Ok(response) => of_parts(response.status(), response.extensions()),
                Err(error) => of_error(&**error),
            };
            if let Some(failure) = failure {
                *last.known() = Some(failure);
            }
        }
        Poll::Ready(result)
    }
}

impl<F> std::fmt::Debug for LastFailureFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LastFailureFuture").finish_non_exhaustive()
    }
}
