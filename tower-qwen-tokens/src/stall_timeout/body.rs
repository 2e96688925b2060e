use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};

use crate::{call::BoxError, internal::clock};

pin_project! {
    /// Response body of [`StallTimeout`](super::StallTimeout); see the [module docs](super).
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        timeout: Duration,
        #[pin]
        timer: Option<Sleep>,
        state: State,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A frame came, or nobody has asked for one yet.
    Flowing,
    /// The timer runs.
    Waiting,
    Stalled,
}

/// A body brought no frame for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled {
    timeout: Duration,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, timeout: Duration) -> Self {
        Self {
            inner,
            timeout,
            timer: None,
            state: State::Flowing,
        }
    }
}

impl Stalled {
    /// How long was waited for a frame.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        if *this.state == State::Stalled {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.state = State::Flowing;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if *this.state == State::Flowing {
            // A timeout beyond the end of the clock is none.
            let Some(until) = clock::now().checked_add(*this.timeout) else {
                return Poll::Pending;
            };
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) => timer.reset(until),
                None => this.timer.set(Some(sleep_until(until))),
            }
            *this.state = State::Waiting;
        }
        let timer = this.timer.as_pin_mut();
        if timer.is_none_or(|timer| timer.poll(cx).is_pending()) {
            return Poll::Pending;
        }
        *this.state = State::Stalled;
        let timeout = *this.timeout;
        Poll::Ready(Some(Err(Stalled { timeout }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Stalled || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.state == State::Stalled {
            SizeHint::with_exact(0)
        } else {
            self.inner.size_hint()
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no data for {:?}", self.timeout)
    }
}

impl Error for Stalled {}
