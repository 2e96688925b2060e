use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// A call of the inner service, or the error that kept its request from being converted.
    #[project = CallOrErrorProj]
    pub(super) enum CallOrError<F, E> {
        Call {
            #[pin]
            future: F,
        },
        // `Service::call` cannot fail, so the future returns it.
        Error {
            error: Option<E>,
        },
    }
}

impl<F, E> CallOrError<F, E> {
    /// Sends a request that was converted.
    pub(super) fn new<R, C>(request: Result<R, C>, send: impl FnOnce(R) -> F) -> Self
    where
        E: From<C>,
    {
        match request {
            Ok(request) => Self::Call {
                future: send(request),
            },
            Err(error) => Self::Error {
                error: Some(error.into()),
            },
        }
    }
}

impl<F, T, E> Future for CallOrError<F, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            CallOrErrorProj::Call { future } => future.poll(cx),
            CallOrErrorProj::Error { error } => {
                Poll::Ready(Err(error.take().expect("not polled after it was ready")))
            }
        }
    }
}
