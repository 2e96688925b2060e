//! The body of an answer on its way to the reader.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::{strangers::Waiting, watch::UnderWay};

/// An answer's body, and the request under way that ends with it.
#[derive(Debug)]
pub(super) struct ServedBody(Inner);

#[derive(Debug)]
enum Inner {
    /// Of HTTP/1.1: if its reader takes nothing, the whole connection is stuck.
    Own { body: Body, _under_way: UnderWay },
    /// Of HTTP/2: the protocol stops one stream and leaves the others, and polls this body no more.
    Stream(Arc<StreamSlot>),
}

/// The body of a stream, where the connection can reach it although nobody polls it.
#[derive(Debug)]
pub(super) struct StreamSlot(Mutex<Slot>);

#[derive(Debug)]
struct Slot {
    /// `None` once it was cut.
    body: Option<Held>,
    /// Since when a frame waits for the reader; `None` while the reader waits for a frame.
    given: Option<Instant>,
}

/// A body, and what ends with it.
type Held = (Body, UnderWay, Option<Waiting>);

impl ServedBody {
    pub(super) fn own(body: Body, under_way: UnderWay) -> Self {
        Self(Inner::Own {
            body,
            _under_way: under_way,
        })
    }

    pub(super) fn stream(
        body: Body,
        under_way: UnderWay,
        waiting: Option<Waiting>,
    ) -> (Self, Arc<StreamSlot>) {
        let slot = Arc::new(StreamSlot(Mutex::new(Slot {
            body: Some((body, under_way, waiting)),
            given: None,
        })));
        (Self(Inner::Stream(Arc::clone(&slot))), slot)
    }
}

impl StreamSlot {
    /// Drops the body if its reader takes nothing for so long: that cuts the upstream, and the call is booked.
    pub(super) fn cut_if_unread(&self, now: Instant, longest: Duration) {
        let mut slot = self.lock();
        let is_unread = |since: Instant| now.saturating_duration_since(since) >= longest;
        if slot.given.is_some_and(is_unread) {
            let cut = slot.body.take();
            // Its layers lock what is theirs when it is dropped.
            drop(slot);
            drop(cut);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for ServedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.0 {
            Inner::Own { body, .. } => Pin::new(body).poll_frame(cx),
            Inner::Stream(slot) => {
                let mut slot = slot.lock();
                let Some((body, ..)) = &mut slot.body else {
                    let late = io::Error::new(io::ErrorKind::TimedOut, "its reader took nothing");
                    return Poll::Ready(Some(Err(axum::Error::new(late))));
                };
                let poll = Pin::new(body).poll_frame(cx);
                slot.given = match &poll {
                    Poll::Ready(Some(Ok(_))) => Some(Instant::now()),
                    _ => None,
                };
                poll
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Own { body, .. } => body.is_end_stream(),
            Inner::Stream(slot) => {
                let slot = slot.lock();
                slot.body
                    .as_ref()
                    .is_some_and(|(body, ..)| body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Own { body, .. } => body.size_hint(),
            Inner::Stream(slot) => {
                let slot = slot.lock();
                let body = slot.body.as_ref();
                body.map_or_else(SizeHint::new, |(body, ..)| body.size_hint())
            }
        }
    }
}
