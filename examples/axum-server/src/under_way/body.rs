//! Bodies of calls under way.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{Place, Problem};

/// A request's body whose bytes and time are bounded.
pub(super) struct WatchedBody {
    body: Body,
    place: Arc<Place>,
    /// From the first time that it has to be waited for: most bodies are there with their heads.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WatchedBody {
    pub(super) fn new(body: Body, place: Arc<Place>) -> Self {
        Self {
            body,
            place,
            timer: None,
        }
    }

    fn fail(&self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.place.problem.store(problem as u8, Relaxed);
        Poll::Ready(Some(Err(axum::Error::new(problem))))
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let timeout = self.place.all.bounds.body_timeout;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
            return match timer.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => self.fail(Problem::TooSlow),
            };
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(problem) = self.place.add(data.len())
        {
            return self.fail(problem);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// An answer's body: as long as it goes on, its call is under way.
    #[derive(Debug)]
    pub struct HeldBody<B> {
        #[pin]
        body: B,
        place: Arc<Place>,
    }
}

impl<B> HeldBody<B> {
    pub(super) fn new(body: B, place: Arc<Place>) -> Self {
        Self { body, place }
    }
}

impl<B: HttpBody> HttpBody for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
