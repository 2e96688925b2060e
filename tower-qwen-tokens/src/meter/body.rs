use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::{End, macros::opaque_debug, shared::PeekedBody};

use super::{attempt::Attempt, usage_event_filter::UsageEventFilter};

pin_project! {
    /// Response body of [`Meter`](super::Meter). See the [module docs](super).
    ///
    /// Its data is [`Bytes`]. If the inner body's is too, nothing is copied; a buffer of another
    /// type is copied once.
    pub struct ResponseBody<B: Body> {
        #[pin]
        inner: Inner<B>,
        // Behind the body, since fields are dropped in order: what that holds (a permit, say) is
        // free before the report.
        attempt: Option<Attempt>,
        filtering: Option<Filtering<B::Error>>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B: Body> {
        Empty,
        Body {
            #[pin]
            body: PeekedBody<B>,
        },
    }
}

/// What ended the body: a frame of trailers, an error or nothing.
type Last<E> = Option<Result<Frame<Bytes>, E>>;

/// A stream from which the usage event is removed.
struct Filtering<E> {
    filter: UsageEventFilter,
    /// What follows once the filter's output is empty.
    last: Option<Last<E>>,
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(
        body: PeekedBody<B>,
        attempt: Option<Attempt>,
        filter: Option<UsageEventFilter>,
    ) -> Self {
        let attempt = match attempt {
            // A body without frames is often not polled at all.
            Some(attempt) if body.is_end_stream() => {
                attempt.end(End::Complete);
                None
            }
            attempt => attempt,
        };
        Self {
            inner: Inner::Body { body },
            attempt,
            filtering: filter.map(|filter| Filtering { filter, last: None }),
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            inner: Inner::Empty,
            attempt: None,
            filtering: None,
        }
    }
}

/// An empty body, as tower-http's `Timeout` answers with.
impl<B: Body> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let InnerProj::Body { mut body } = this.inner.project() else {
            return Poll::Ready(None);
        };
        loop {
            if let Some(next) = this.filtering.as_mut().and_then(Filtering::next) {
                return Poll::Ready(next);
            }
            let frame = ready!(body.as_mut().poll_frame(cx));
            // Reported with the last frame: hyper and others do not poll on behind trailers or a
            // known end.
            let end = match &frame {
                None => Some(End::Complete),
                Some(Err(_)) => Some(End::Failed),
                Some(Ok(frame)) => {
                    (frame.is_trailers() || body.is_end_stream()).then_some(End::Complete)
                }
            };
            let frame = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => Ok(into_bytes(data)),
                Some(Ok(Err(frame))) => Err(Some(Ok(frame.map_data(into_bytes)))),
                Some(Err(error)) => Err(Some(Err(error))),
                None => Err(None),
            };
            let next = match (frame, &mut *this.filtering) {
                (Ok(data), Some(filtering)) => filtering.push(data, this.attempt, end),
                (Ok(data), None) => {
                    if let Some(attempt) = this.attempt {
                        attempt.read(&data);
                    }
                    Some(data)
                }
                (Err(last), Some(filtering)) => {
                    filtering.finish(last, this.attempt);
                    None
                }
                (Err(last), None) => {
                    report(this.attempt, end);
                    return Poll::Ready(last);
                }
            };
            report(this.attempt, end);
            if let Some(data) = next {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Empty => true,
            Inner::Body { body } => {
                body.is_end_stream() && self.filtering.as_ref().is_none_or(Filtering::is_empty)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &self.filtering) {
            (Inner::Empty, _) => SizeHint::with_exact(0),
            (Inner::Body { body }, None) => body.size_hint(),
            (Inner::Body { body }, Some(filtering)) => {
                filtering.filter.size_hint(&body.size_hint())
            }
        }
    }
}

impl<E> Filtering<E> {
    /// Filters the next data of the stream, or its last; returns what the caller gets next.
    fn push(
        &mut self,
        data: Bytes,
        attempt: &mut Option<Attempt>,
        end: Option<End>,
    ) -> Option<Bytes> {
        let next = match attempt {
            Some(attempt) => attempt.filter(data, &mut self.filter),
            None => Some(data),
        };
        if end.is_some() {
            self.finish(None, attempt);
        }
        next
    }

    fn finish(&mut self, last: Last<E>, attempt: &mut Option<Attempt>) {
        if let Some(attempt) = attempt {
            attempt.finish_filter(&mut self.filter);
        }
        self.last = Some(last);
    }

    fn next(&mut self) -> Option<Last<E>> {
        match self.filter.next() {
            Some(data) => Some(Some(Ok(Frame::data(data)))),
            None => self.last.take(),
        }
    }

    fn is_empty(&self) -> bool {
        self.filter.is_empty() && self.last.as_ref().is_none_or(Option::is_none)
    }
}

fn report(attempt: &mut Option<Attempt>, end: Option<End>) {
    if let Some(end) = end
        && let Some(attempt) = attempt.take()
    {
        attempt.end(end);
    }
}

fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

opaque_debug!(ResponseBody, impl<B: Body> std::fmt::Debug for ResponseBody<B>);
