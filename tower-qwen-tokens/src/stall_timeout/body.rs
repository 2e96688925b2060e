use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    call::BoxError,
    macros::opaque_debug,
    shared::{
        clock::{self, Instant},
        timer::MovingTimer,
    },
};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Response body of [`StallTimeout`](super::StallTimeout). See the [module docs](super).
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        timeout: Duration,
        #[pin]
        timer: MovingTimer,
        wait: FrameWait,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameWait {
    /// A frame came, or none has been polled yet.
    Idle,
    /// So long a frame may be awaited; `None`: for ever.
    Until(Option<Instant>),
    /// The error was returned.
    Stalled,
}

/// A body brought no frame for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no data for {timeout:?}")]
pub struct Stalled {
    timeout: Duration,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, timeout: Duration) -> Self {
        Self {
            inner,
            timeout,
            timer: MovingTimer::default(),
            wait: FrameWait::Idle,
        }
    }
}

impl Stalled {
    /// The time without a frame.
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
        let this = self.project();
        if *this.wait == FrameWait::Stalled {
            return Poll::Ready(None);
        }
        // The body first: a frame that came in time counts, even if this poll is late.
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            *this.wait = FrameWait::Idle;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if *this.wait == FrameWait::Idle {
            // A timeout beyond the end of the clock never comes.
            let until = clock::now().checked_add(*this.timeout);
            *this.wait = FrameWait::Until(until);
        }
        let FrameWait::Until(Some(until)) = *this.wait else {
            return Poll::Pending;
        };
        if this.timer.poll(cx, until).is_pending() {
            return Poll::Pending;
        }
        *this.wait = FrameWait::Stalled;
        let timeout = *this.timeout;
        Poll::Ready(Some(Err(Stalled { timeout }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.wait == FrameWait::Stalled || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.wait == FrameWait::Stalled {
            SizeHint::with_exact(0)
        } else {
            self.inner.size_hint()
        }
    }
}

opaque_debug!(ResponseBody, impl<B> std::fmt::Debug for ResponseBody<B>);
