use std::{
    fmt,
    future::Future,
    mem,
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
    Rejection, ResponseBody,
    authorize::{AskedFor, Authorization, AuthorizedCall, LeaseAnswers},
    queued_call::QueuedCall,
    responder::ErrorResponder,
    settings::Settings,
};
use crate::{BoxError, budget::LeaseWait, limiter::CallerAccount};

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

/// What is needed once a call has been read.
pub(super) struct UnreadCall<S> {
    pub(super) service: S,
    pub(super) responder: ErrorResponder,
    /// Whether its request has been taken.
    pub(super) is_charged: bool,
}

/// A call that waits, and what is needed once it may go.
struct WaitingCall<S, B> {
    service: S,
    /// A service that was made ready may hold a permit, so a long wait gives its readiness up.
    is_ready: bool,
    responder: ErrorResponder,
    request: Request<B>,
}

pin_project! {
    #[project = EnforceStageProj]
    enum EnforceStage<S, F, B> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<UnreadCall<S>>,
        },
        Waiting {
            #[pin]
            queued: QueuedCall,
            then: Option<WaitingCall<S, B>>,
        },
        Leasing {
            #[pin]
            wait: LeaseWait,
            asked_for: AskedFor,
            answers: LeaseAnswers,
            then: Option<WaitingCall<S, B>>,
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
    S: Service<Request<B>> + Clone,
{
    /// Reads the request first, then sends it with the `service`, which is ready.
    pub(super) fn reading(read: ReadCall<B>, then: UnreadCall<S>, settings: Arc<Settings>) -> Self {
        Self {
            stage: EnforceStage::Reading {
                read,
                then: Some(then),
            },
            authorized: None,
            settings,
        }
    }

    /// Rejects a request that has not been read.
    pub(super) fn rejected(
        rejection: Rejection,
        account: &CallerAccount,
        responder: ErrorResponder,
        settings: &Arc<Settings>,
    ) -> Self {
        let mut response = responder.rejected(rejection);
        settings.write_headers(response.headers_mut(), account);
        Self {
            stage: EnforceStage::Rejected {
                response: Some(response),
            },
            authorized: None,
            settings: settings.clone(),
        }
    }

    /// Sends or rejects a request that has been read, with a service that is ready.
    pub(super) fn authorized(
        service: &mut S,
        mut request: Request<B>,
        responder: ErrorResponder,
        settings: &Arc<Settings>,
    ) -> Self {
        let authorization = settings.authorize(&mut request, LeaseAnswers::default());
        let (stage, authorized) =
            proceed(service, true, request, responder, settings, authorization);
        Self {
            stage,
            authorized,
            settings: settings.clone(),
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
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
                    let UnreadCall {
                        service,
                        responder,
                        is_charged,
                    } = then.take().expect("taken once");
                    match read {
                        Ok(request) => {
                            let mut call = WaitingCall {
                                service,
                                is_ready: true,
                                responder,
                                request,
                            };
                            match this.settings.queue() {
                                Some(queue) => EnforceStage::Waiting {
                                    queued: QueuedCall::new(&call.request, this.settings, queue),
                                    then: Some(call),
                                },
                                None => {
                                    let answers = LeaseAnswers {
                                        is_charged,
                                        ..LeaseAnswers::default()
                                    };
                                    let authorization =
                                        this.settings.authorize(&mut call.request, answers);
                                    let (stage, authorized) =
                                        call.proceed(this.settings, authorization);
                                    *this.authorized = authorized;
                                    stage
                                }
                            }
                        }
                        Err(error) => {
                            this.settings.counters.unread();
                            EnforceStage::Rejected {
                                response: Some(responder.unread_body(error.boxed())),
                            }
                        }
                    }
                }
                EnforceStageProj::Waiting { mut queued, then } => {
                    let call = then.as_mut().expect("taken when it goes");
                    let poll = queued
                        .as_mut()
                        .poll_granted(&mut call.request, this.settings, cx);
                    let authorization = match poll {
                        Poll::Pending => {
                            if call.is_ready {
                                call.service = call.service.clone();
                                call.is_ready = false;
                            }
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(not_granted)) => not_granted,
                        Poll::Ready(Ok(())) => {
                            if let Err(error) = ready!(call.poll_ready(cx)) {
                                break Err(error);
                            }
                            // Just before the send: until here a drop returns tokens and budget.
                            queued.authorize(&mut call.request, this.settings)
                        }
                    };
                    let call = then.take().expect("it goes now");
                    let (stage, authorized) = call.proceed(this.settings, authorization);
                    *this.authorized = authorized;
                    stage
                }
                EnforceStageProj::Leasing {
                    wait,
                    asked_for,
                    answers,
                    then,
                } => {
                    let call = then.as_mut().expect("taken when it goes");
                    // First, since an answer of the store cannot be kept: it may come from a queue.
                    if let Err(error) = ready!(call.poll_ready(cx)) {
                        break Err(error);
                    }
                    let answer = ready!(wait.poll(cx));
                    let mut answers = mem::take(answers);
                    answers.add(*asked_for, answer);
                    let mut call = then.take().expect("it goes now");
                    let authorization = this.settings.authorize(&mut call.request, answers);
                    let (stage, authorized) = call.proceed(this.settings, authorization);
                    *this.authorized = authorized;
                    stage
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

impl<S: Service<Request<B>> + Clone, B> WaitingCall<S, B> {
    /// Makes the service ready, if it is not.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if !self.is_ready {
            ready!(self.service.poll_ready(cx))?;
            self.is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn proceed(
        mut self,
        settings: &Settings,
        authorization: Authorization,
    ) -> (EnforceStage<S, S::Future, B>, Option<AuthorizedCall>) {
        let (request, responder) = (self.request, self.responder);
        let service = &mut self.service;
        proceed(
            service,
            self.is_ready,
            request,
            responder,
            settings,
            authorization,
        )
    }
}

/// Sends a call or rejects it, as was decided. Only a ready service sends.
fn proceed<S: Service<Request<B>> + Clone, B>(
    service: &mut S,
    is_ready: bool,
    request: Request<B>,
    responder: ErrorResponder,
    settings: &Settings,
    authorization: Authorization,
) -> (EnforceStage<S, S::Future, B>, Option<AuthorizedCall>) {
    match authorization {
        Authorization::Waits(wait, asked_for, answers) => {
            // The service as it is goes along; its clone, not yet ready, stays.
            let not_ready = service.clone();
            let then = Some(WaitingCall {
                service: mem::replace(service, not_ready),
                is_ready,
                responder,
                request,
            });
            let leasing = EnforceStage::Leasing {
                wait,
                asked_for,
                answers,
                then,
            };
            (leasing, None)
        }
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
        Authorization::OverBudget(error, account) => {
            let status = settings.budget_status.code();
            let mut response = responder.over_budget(error, status);
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
            EnforceStage::Waiting { .. } => "waiting",
            EnforceStage::Leasing { .. } => "leasing",
            EnforceStage::Calling { .. } => "calling",
            EnforceStage::Rejected { .. } => "rejected",
            EnforceStage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}
