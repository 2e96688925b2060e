//! One line of the log for each call, when it has ended. Of keys, prompts and answers it says nothing.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tower_qwen_tokens::{
    CallReport,
    call::BoxError,
    ledger::{End, Tenant},
};
use tracing::info;

use crate::{
    call_metrics::{self, units},
    gateway::Gateway,
    log::shown_path,
};

/// Where the request's id stands.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the layers further in find out of a call. In its extensions; clones share it.
#[derive(Debug, Clone, Default)]
pub struct CallNotes(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    tenant: OnceLock<Tenant>,
    model: OnceLock<Arc<str>>,
    upstream: OnceLock<Arc<str>>,
}

impl CallNotes {
    /// Whose call it is.
    pub fn set_tenant(&self, tenant: &Tenant) {
        let _ = self.0.tenant.set(tenant.clone());
    }

    /// Which model it asks for, and where it goes first.
    pub fn set_route(&self, model: Option<&Arc<str>>, upstream: Arc<str>) {
        if let Some(model) = model {
            let _ = self.0.model.set(model.clone());
        }
        let _ = self.0.upstream.set(upstream);
    }
}

/// Writes the line of each call, and counts the call if it does not come to the ledger.
#[derive(Debug, Clone)]
pub struct CallLog<S> {
    inner: S,
    // `None`: nothing is written nor counted.
    gateway: Option<Arc<Gateway>>,
}

pin_project! {
    /// Response future of [`CallLog`].
    pub struct ResponseFuture<F> {
        // Dropped first, as the answer's body is.
        #[pin]
        inner: F,
        ending: Option<Ending>,
    }
}

impl<S> CallLog<S> {
    /// The log of a gateway before a service; without one, nothing but the service.
    pub fn new(gateway: Option<Arc<Gateway>>, inner: S) -> Self {
        Self { inner, gateway }
    }
}

impl<S, B> Service<Request> for CallLog<S>
where
    S: Service<Request, Response = Response<B>>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let ending = self.gateway.clone().map(|gateway| {
            let (notes, report) = (CallNotes::default(), CallReport::new());
            let extensions = request.extensions_mut();
            extensions.insert(notes.clone());
            extensions.insert(report.clone());
            Ending {
                id: request.headers().get(REQUEST_ID).cloned(),
                uri: request.uri().clone(),
                began: Instant::now(),
                answer: None,
                notes,
                report,
                #[cfg(feature = "otlp")]
                span: (gateway.telemetry.as_ref()).and_then(|it| it.begin(&mut request)),
                gateway,
            }
        });
        ResponseFuture {
            inner: self.inner.call(request),
            ending,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx))?;
        let mut ending = this.ending.take();
        if let Some(ending) = &mut ending {
            ending.answer = Some((answer.status(), call_metrics::cause(&answer)));
        }
        Poll::Ready(Ok(answer.map(|body| Body::new(LoggedBody { body, ending }))))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

/// The line, written when this is dropped: at the end of the answer, or where the caller has left.
struct Ending {
    id: Option<HeaderValue>,
    uri: Uri,
    began: Instant,
    /// Status and cause; `None` before there is an answer.
    answer: Option<(StatusCode, &'static str)>,
    notes: CallNotes,
    report: CallReport,
    #[cfg(feature = "otlp")]
    span: Option<crate::otlp::CallSpan>,
    gateway: Arc<Gateway>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (report, notes) = (&self.report, &self.notes.0);
        let tenant = notes.tenant.get().map(Tenant::as_str);
        let end = report.end();
        // Who has no key that is known is no caller.
        if let (None, Some((status, cause)), Some(tenant)) = (end, self.answer, tenant) {
            let calls = &self.gateway.call_metrics;
            calls.rejected(Some(tenant), status, cause);
        }
        let usage = report.usage().unwrap_or_default();
        let cost = report.cost();
        let to = report.target().or_else(|| notes.upstream.get().cloned());
        #[cfg(feature = "otlp")]
        if let Some(span) = &mut self.span {
            span.end(&crate::otlp::CallEnd {
                id: self.id.as_ref(),
                tenant,
                model: notes.model.get().map(|model| &**model),
                upstream: to.as_deref().filter(|_| report.sends() > 0),
                answer: self.answer,
                report,
            });
        }
        info!(
            target: "calls",
            request_id = self.id.as_ref().and_then(|id| id.to_str().ok()),
            tenant,
            path = shown_path(self.uri.path()),
            model = notes.model.get().map(|model| &**model),
            upstream = to.as_deref().filter(|_| report.sends() > 0),
            status = self.answer.map(|(status, _)| status.as_u16()),
            cause = self.answer.map(|(_, cause)| cause).filter(|cause| *cause != "none"),
            end = end.map(|end| match end {
                End::Complete => "complete",
                End::Failed => "failed",
                End::Cancelled => "cancelled",
            }),
            input_tokens = usage.input_tokens,
            output_tokens = usage.output_tokens,
            cost = cost.map(units),
            currency = cost.map(|cost| cost.currency().to_string()),
            queued_ms = report.queued().as_secs_f64() * 1e3,
            retry_wait_ms = report.retry_wait().as_secs_f64() * 1e3,
            attempts = report.sends(),
            duration_ms = self.began.elapsed().as_secs_f64() * 1e3,
            "call"
        );
    }
}

pin_project! {
    struct LoggedBody<B> {
        // Dropped first: what the layers further in find out at the end stands in the line.
        #[pin]
        body: B,
        // It is there for its end.
        ending: Option<Ending>,
    }
}

impl<B: HttpBody> HttpBody for LoggedBody<B> {
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
