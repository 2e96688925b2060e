//! The gateway as the service of one connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, Version, header::CONNECTION};
use hyper::body::Incoming;
use tower::Service;

use super::{
    Answers,
    body::ServedBody,
    strangers::Strangers,
    unread::RequestBody,
    watch::{UnderWay, Watch},
};
use crate::{readiness::Readiness, tries::Peer};

/// Answers the requests of one connection, and says to its watch which are under way.
#[derive(Debug, Clone)]
pub(super) struct ConnectionService {
    pub(super) answers: Answers,
    pub(super) watch: Arc<Watch>,
    pub(super) readiness: Readiness,
    pub(super) strangers: Strangers,
    /// Who is at the other end; `None` where that is not known.
    pub(super) peer: Option<Peer>,
}

/// The future of an answer.
type BoxFuture = <Answers as Service<Request<Body>>>::Future;

/// One request on its way through the gateway.
pub(super) struct Answering {
    inner: BoxFuture,
    /// `None` once it is answered.
    under_way: Option<UnderWay>,
    watch: Arc<Watch>,
    readiness: Readiness,
    strangers: Strangers,
    is_http2: bool,
    is_head: bool,
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<ServedBody>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        let is_http2 = request.version() == Version::HTTP_2;
        let is_head = request.method() == Method::HEAD;
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let body = |body| Body::new(RequestBody::new(body, Arc::clone(&self.watch)));
        Answering {
            under_way: Some(self.watch.begin(is_http2)),
            inner: self.answers.clone().call(request.map(body)),
            watch: Arc::clone(&self.watch),
            readiness: self.readiness.clone(),
            strangers: self.strangers.clone(),
            is_http2,
            is_head,
        }
    }
}

impl Future for Answering {
    type Output = Result<Response<ServedBody>, Infallible>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(mut answer) = ready!(Pin::new(&mut self.inner).poll(cx));
        let under_way = self
            .under_way
            .take()
            .expect("not polled after it was ready");
        if self.is_http2 {
            let waiting = self.strangers.bound(&mut answer);
            return Poll::Ready(Ok(answer.map(|body| {
                // hyper leaves it out in HTTP/1.1 alone.
                let body = if self.is_head { Body::empty() } else { body };
                let (body, stream) = ServedBody::stream(body, under_way, waiting);
                self.watch.add_stream(&stream);
                body
            })));
        }
        if self.readiness.is_draining() {
            // The next request of this caller goes elsewhere.
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(CONNECTION, close);
        }
        Poll::Ready(Ok(answer.map(|body| ServedBody::own(body, under_way))))
    }
}
