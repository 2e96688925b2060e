use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{Call, Ledger, UsageSink, call::ReadCall, macros::inner_accessors};

use super::{ResponseBody, ResponseFuture, attempt::Attempt, settings::Settings};

/// Reads the usage of every answer and reports it. See the [module docs](super).
#[derive(Debug, Clone)]
pub struct Meter<S> {
    pub(super) inner: S,
    pub(super) settings: Arc<Settings>,
}

impl<S> Meter<S> {
    /// A service with the defaults of [`MeterLayer`](super::MeterLayer).
    #[must_use]
    pub fn new(inner: S, ledger: Ledger) -> Self {
        Self {
            inner,
            settings: Arc::new(Settings::new(ledger)),
        }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for Meter<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body + From<Bytes>,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Taken out, so that a Meter further in does not report the same attempt to the same sink.
        let sink = request.extensions_mut().remove::<UsageSink>();
        if let Some(call) = Call::of(&request).map(Arc::clone) {
            let attempt = Attempt::begin(&self.settings, sink, call, &mut request);
            let future = self.inner.call(request);
            return ResponseFuture::calling(future, attempt, self.settings.clock);
        }
        // The clone has not been polled for readiness, so the call gets the original.
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        let read = ReadCall::new(request, &self.settings.read_options);
        ResponseFuture::reading(read, ready, sink, Arc::clone(&self.settings))
    }
}
