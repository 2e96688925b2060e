use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_qwen_tokens::{Call, call::ReadCall};
use tower_service::Service;

use super::{
    ResponseBody, ResponseFuture, future::UnreadCall, responder::ErrorResponder, settings::Settings,
};
use crate::BoxError;

/// Rejects calls that exceed their caller's quota; see the [module docs](super).
#[derive(Debug, Clone)]
pub struct Enforce<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Enforce<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }

    inner_accessors!();
}

impl<S, B, RB> Service<Request<B>> for Enforce<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Before the request is consumed: a rejection needs its dialect.
        let responder = ErrorResponder::of(request.uri().path(), request.headers());
        if Call::of(&request).is_some() && self.settings.queue().is_none() {
            // A layer above has read it, so the decision needs no waiting and no clone of the inner
            // service.
            return ResponseFuture::authorized(&mut self.inner, request, responder, &self.settings);
        }
        let is_charged = match self.settings.charge_before_read(&request) {
            Ok(is_charged) => is_charged,
            Err((rejection, account)) => {
                return ResponseFuture::rejected(rejection, &account, responder, &self.settings);
            }
        };
        // The service that `poll_ready` made ready goes into the future; its clone, not yet ready,
        // stays.
        let not_ready_inner = self.inner.clone();
        let ready_inner = mem::replace(&mut self.inner, not_ready_inner);
        let read = ReadCall::new(request, &self.settings.read_options);
        let then = UnreadCall {
            service: ready_inner,
            responder,
            is_charged,
        };
        ResponseFuture::reading(read, then, self.settings.clone())
    }
}
