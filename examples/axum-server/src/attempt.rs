//! What is known of a call's attempts at the upstreams: whether any may have cost something.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower::timeout::error::Elapsed;
use tower_qwen_tokens::{CallReport, call::BoxError, internal::SendingLayer};

use crate::errors::Failure;

/// Whether any attempt of one call may have cost tokens at the upstream: none does that never reached it, or was refused by
/// it. Stands in the call's extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Spent(Arc<Attempted>);

#[derive(Debug, Default)]
struct Attempted {
    first: OnceLock<Option<Failure>>,
    /// Whether an attempt is at the upstream now, or on the way to it.
    is_sent: AtomicBool,
    /// Whether the transport has begun to write it: until then it waits for a connection.
    is_begun: AtomicBool,
    /// Whether the latest attempt found nobody who takes a connection.
    is_away: AtomicBool,
}

impl Spent {
    /// How the first such attempt failed: `Some(None)` where it was answered, `None` where there is none.
    #[must_use]
    pub fn first(&self) -> Option<Option<Failure>> {
        self.0.first.get().copied()
    }

    /// Whether an attempt is at the upstream now.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.0.is_sent.load(Relaxed)
    }

    /// Whether the upstream could not be reached by the latest attempt.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.0.is_away.load(Relaxed)
    }

    /// An attempt with this body is at the upstream until what this returns is dropped. If that comes before anything was
    /// written, the report says that it never began.
    pub(crate) fn begin<'a>(
        &'a self,
        body: &mut Body,
        report: Option<&'a CallReport>,
    ) -> UnderWay<'a> {
        self.0.is_sent.store(true, Relaxed);
        // Nobody polls an empty body.
        self.0.is_begun.store(body.is_end_stream(), Relaxed);
        let written = WrittenBody {
            body: std::mem::take(body),
            attempted: Arc::clone(&self.0),
        };
        *body = Body::new(written);
        UnderWay {
            attempted: &self.0,
            report,
        }
    }
}

/// An attempt at the upstream.
pub(crate) struct UnderWay<'a> {
    attempted: &'a Attempted,
    report: Option<&'a CallReport>,
}

impl UnderWay<'_> {
    /// It has ended with this answer, or error. What an error says of an attempt that never began Admission finds by itself.
    pub(crate) fn end<B>(mut self, answer: &Result<Response<B>, BoxError>) {
        self.report = None;
        let failure = answer.as_ref().err();
        let failure = failure.map(|error| Failure::of(&**error));
        let is_away = failure.is_some_and(|failure| failure.is_away());
        self.attempted.is_away.store(is_away, Relaxed);
        if answer
            .as_ref()
            .is_ok_and(|it| it.status().is_client_error())
        {
            return;
        }
        if failure.is_none_or(|failure| !failure.is_unsent()) {
            let _ = self.attempted.first.set(failure);
        }
    }

    /// It is cut, for it took too long.
    pub(crate) fn time_out<B>(self) -> Result<Response<B>, BoxError> {
        let error = Err(Elapsed::new().into());
        if self.attempted.is_begun.load(Relaxed) {
            self.end(&error);
        }
        error
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.attempted.is_sent.store(false, Relaxed);
        if let Some(report) = self.report
            && !self.attempted.is_begun.load(Relaxed)
        {
            report.facts().never_begun(SendingLayer::Admission);
        }
    }
}

/// The body of an attempt. The transport polls it when it writes the head, and not before it has a connection.
struct WrittenBody {
    body: Body,
    attempted: Arc<Attempted>,
}

impl HttpBody for WrittenBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.attempted.is_begun.store(true, Relaxed);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
