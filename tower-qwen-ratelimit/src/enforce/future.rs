use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_qwen_tokens::call::ReadCall;
use tower_service::Service;

use super::{
    ResponseBody,
    authorize::{Authorization, AuthorizedCall},
    responder::ErrorResponder,
    settings::Settings,
};
use crate::BoxError;

pin_project! {
    /// Response future of [`Enforce`](super::Enforce); see the [module docs](super).
    ///
    /// # Cancel safety
    ///
    /// See the [module docs](super#cancel-safety).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        stage: EnforceStage<S, S::Future, B>,
        // Beside the stages, since only the call's own stage is pinned.
        authorized: Option<AuthorizedCall>,
        settings: Arc<Settings>,
    }
}

pin_project! {
    #[project = EnforceStageProj]
    enum EnforceStage<S, F, B> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<(S, ErrorResponder)>,
        },
        Calling {
            #[pin]
            future: F,
        },
        Rejected {
            response: Option<Response<Bytes>>,
        },
        Done,
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// Reads the request first, then sends it with the `service`, which is ready.
    pub(super) fn reading(
        read: ReadCall<B>,
        service: S,
        responder: ErrorResponder,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            stage: EnforceStage::Reading {
                read,
                then: Some((service, responder)),
            },
            authorized: None,
            settings,
        }
    }

    /// Sends or rejects a request that has been read.
    pub(super) fn authorized(
        service: &mut S,
        request: Request<B>,
        responder: &ErrorResponder,
        settings: &Arc<Settings>,
    ) -> Self {
        let (stage, authorized) = authorize(service, request, responder, settings);
        Self {
            stage,
            authorized,
            settings: settings.clone(),
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let output = loop {
            let next = match this.stage.as_mut().project() {
                EnforceStageProj::Reading { read, then } => {
                    let read = ready!(read.poll(cx));
                    let (mut service, responder) = then.take().expect("taken once");
                    match read {
                        Ok(request) => {
                            let (stage, authorized) =
                                authorize(&mut service, request, &responder, this.settings);
                            *this.authorized = authorized;
                            stage
                        }
                        Err(error) => {
                            this.settings.counters.unread();
                            EnforceStage::Rejected {
                                response: Some(responder.unread_body(error.boxed())),
                            }
                        }
                    }
                }
                EnforceStageProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    let authorized = this.authorized.take();
                    break match result {
                        Ok(mut response) => {
                            let running = authorized
                                .and_then(|call| call.finish(&mut response, this.settings));
                            Ok(response.map(|body| ResponseBody::from_handler(body, running)))
                        }
                        Err(error) => {
                            if let Some(call) = authorized {
                                call.fail(this.settings);
                            }
                            Err(error)
                        }
                    };
                }
                EnforceStageProj::Rejected { response } => {
                    let response = response.take().expect("taken once");
                    break Ok(response.map(ResponseBody::rejection));
                }
                EnforceStageProj::Done => panic!("polled after it was ready"),
            };
            this.stage.set(next);
        };
        this.stage.set(EnforceStage::Done);
        Poll::Ready(output)
    }
}

/// Sends a call that has been read, or rejects it.
fn authorize<S: Service<Request<B>>, B>(
    service: &mut S,
    mut request: Request<B>,
    responder: &ErrorResponder,
    settings: &Settings,
) -> (EnforceStage<S, S::Future, B>, Option<AuthorizedCall>) {
    match settings.authorize(&mut request) {
        Authorization::Authorized(call) => {
            let future = service.call(request);
            (EnforceStage::Calling { future }, Some(call))
        }
        Authorization::Rejected(rejection, account) => {
            let mut response = responder.rejected(rejection);
            settings.write_headers(response.headers_mut(), &account);
            let response = Some(response);
            (EnforceStage::Rejected { response }, None)
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            EnforceStage::Reading { .. } => "reading",
            EnforceStage::Calling { .. } => "calling",
            EnforceStage::Rejected { .. } => "rejected",
            EnforceStage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
