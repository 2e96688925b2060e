use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_qwen_tokens::{
    Call, UsageSink, Verdict,
    call::{MaxWait, ReadCall},
    internal::{
        Classify, RequestContext, RunningCall, SendingLayer, WaitKind, WaitingCall, chain,
        clock::WallClock, was_never_begun,
    },
    ledger::Tenant,
    protocol::{Levels, header::X_DASHSCOPE_WAIT_TIMEOUT},
};
use tower_service::Service;

use super::{AnswerKind, ResponseBody, settings::Settings};
use crate::{
    BoxError,
    acquire::Acquire,
    cost::Cost,
    key::KeyRef,
    queue::{Priority, Weight},
    reservation::Reservation,
};

pin_project! {
    /// Response future of [`Admission`](super::Admission); see the [module docs](super).
    ///
    /// # Cancel safety
    ///
    /// See the [module docs](super#cancel-safety).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, RB>
    where
        S: Service<Request<B>>,
        B: Body,
        RB: Body,
    {
        service: S,
        settings: Arc<Settings>,
        request: Option<Request<B>>,
        reservation: Option<Arc<Reservation>>,
        context: RequestContext,
        waiting: Option<WaitingCall>,
        running: Option<RunningCall>,
        #[pin]
        stage: AdmissionStage<S::Future, B, RB>,
    }
}

pin_project! {
    #[project = AdmissionStageProj]
    enum AdmissionStage<F, B, RB>
    where
        B: Body,
        RB: Body,
    {
        Reading { #[pin] read: ReadCall<B> },
        Waiting { #[pin] acquire: Acquire },
        Readying,
        Calling { #[pin] future: F },
        Classifying { #[pin] classify: Classify<RB> },
        Done,
    }
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body + From<Bytes>,
    RB: Body,
{
    pub(super) fn new(service: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        Self {
            service,
            request: None,
            reservation: None,
            context: RequestContext::default(),
            waiting: None,
            running: None,
            stage: AdmissionStage::Reading {
                read: ReadCall::new(request, &settings.read_options),
            },
            settings,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, BoxError>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut is_just_admitted = false;
        let output = loop {
            let next = match this.stage.as_mut().project() {
                AdmissionStageProj::Reading { read } => match ready!(read.poll(cx)) {
                    Ok(request) => {
                        let acquire = acquire(this.settings, &request);
                        *this.running = Call::of(&request).map(|call| begin(call));
                        *this.request = Some(request);
                        AdmissionStage::Waiting { acquire }
                    }
                    Err(error) => break Err(error.boxed().into()),
                },
                AdmissionStageProj::Waiting { acquire } => {
                    let Poll::Ready(admitted) = acquire.poll(cx) else {
                        // Only now: a call that goes at once reads no clock.
                        if let (None, Some(running)) = (&this.waiting, &this.running) {
                            *this.waiting = Some(running.facts().wait(WaitKind::Queue));
                        }
                        return Poll::Pending;
                    };
                    *this.waiting = None;
                    match admitted {
                        Ok(mut reservation) => {
                            if let Some(call) = this.request.as_ref().and_then(Call::of) {
                                reservation = reservation.for_call(call);
                            }
                            *this.reservation = Some(Arc::new(reservation));
                            is_just_admitted = true;
                            AdmissionStage::Readying
                        }
                        Err(rejected) => break Err(rejected.into()),
                    }
                }
                AdmissionStageProj::Readying => {
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        break Err(error.into());
                    }
                    let mut request = this.request.take().expect("it has been read");
                    let reservation = this.reservation.as_ref().expect("it has been admitted");
                    prepare(&mut request, reservation, this.settings);
                    *this.context = RequestContext::of(&request);
                    // Last, and just before the send: until here a drop returns the whole charge.
                    match is_just_admitted {
                        true => reservation.mark_sent_as_admitted(),
                        false => reservation.mark_sent(),
                    }
                    if let Some(running) = &this.running {
                        running.facts().sent(SendingLayer::Admission);
                    }
                    let future = this.service.call(request);
                    AdmissionStage::Calling { future }
                }
                AdmissionStageProj::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => AdmissionStage::Classifying {
                        classify: this.context.classify(response, &this.settings.clock),
                    },
                    Err(error) => {
                        let error = error.into();
                        if let Some(reservation) = &this.reservation
                            && chain(error.as_ref()).any(was_never_begun)
                        {
                            reservation.give_back();
                            if let Some(running) = &this.running {
                                running.facts().never_begun(SendingLayer::Admission);
                            }
                        }
                        break Err(error);
                    }
                },
                AdmissionStageProj::Classifying { classify } => {
                    let mut response = ready!(classify.poll(cx));
                    let reservation = this.reservation.take();
                    if let Some(reservation) = &reservation {
                        report_head(reservation, &mut response, &this.settings.clock);
                    }
                    if let Some(running) = &this.running {
                        let is_error = response.extensions().get::<Verdict>().is_some();
                        // A redirection is no error, and no answer of a model either.
                        if is_error || response.status().is_redirection() {
                            running.facts().failed(SendingLayer::Admission);
                        }
                        running.attach(response.extensions_mut());
                    }
                    break Ok(response.map(|body| ResponseBody::new(body, reservation)));
                }
                AdmissionStageProj::Done => panic!("polled after it was ready"),
            };
            this.stage.set(next);
        };
        this.stage.set(AdmissionStage::Done);
        // The caller may keep the future for long; the call goes on with its body.
        *this.running = None;
        Poll::Ready(output)
    }
}

/// Begins to write down what the call comes to.
fn begin(call: &Call) -> RunningCall {
    let running = RunningCall::new(call.report());
    running.facts().enter(SendingLayer::Admission);
    running
}

/// The wait of a request that has been read.
fn acquire<B>(settings: &Settings, request: &Request<B>) -> Acquire {
    let call = Call::of(request);
    let account = settings
        .limiter
        .account(KeyRef::of(request, call.map(Arc::as_ref)));
    let cost = call.map_or(Cost::request(), |call| Cost::of(call));
    let mut acquire = Acquire::new(account, cost);
    if let Some(call) = call {
        // Of the first attempt: a retried call keeps its place in the queue.
        acquire = acquire.arrived(call.arrived());
        if let Some(deadline) = call.deadline() {
            acquire = acquire.deadline(deadline);
        }
    }
    if let Some(AnswerKind(kind)) = request.extensions().get() {
        acquire = acquire.label(Arc::clone(kind));
    }
    if let Some(tenant) = request.extensions().get::<Tenant>() {
        acquire = acquire.tenant(tenant.clone());
    }
    if let Some(weight) = request.extensions().get::<Weight>() {
        acquire = acquire.weight(*weight);
    }
    if let Some(priority) = request.extensions().get::<Priority>() {
        acquire = acquire.priority(*priority);
    }
    let own = request.extensions().get().map(|&MaxWait(wait)| wait);
    match settings.max_wait.into_iter().chain(own).min() {
        Some(max_wait) => acquire.max_wait(max_wait),
        None => acquire,
    }
}

/// Adds what the provider and the Meter below need.
fn prepare<B>(request: &mut Request<B>, reservation: &Arc<Reservation>, settings: &Settings) {
    if let Some(seconds) = &settings.provider_queue_timeout {
        // The caller's own header wins.
        request
            .headers_mut()
            .entry(X_DASHSCOPE_WAIT_TIMEOUT)
            .or_insert_with(|| seconds.clone());
    }
    UsageSink::new(reservation.clone()).attach(request.extensions_mut());
}

/// Reports to the account what the response's head says.
fn report_head<B>(reservation: &Reservation, response: &mut Response<B>, clock: &WallClock) {
    // The stated levels first: an accepted call or a throttle wakes the head of the queue, which
    // must see them.
    reservation.limits_stated(&Levels::of(response.headers(), clock.now()));
    let Some(verdict) = response.extensions().get::<Verdict>() else {
        reservation.accepted();
        return;
    };
    let paced_until = if verdict.is_throttle() {
        reservation.throttled(verdict)
    } else {
        reservation.fail(verdict);
        reservation.unavailable(verdict)
    };
    // A Retry above reads from it how long the account stays closed.
    if let Some(paced_until) = paced_until {
        response.extensions_mut().insert(paced_until);
    }
}

opaque_debug!(
    ResponseFuture,
    impl<S: Service<Request<B>>, B: Body, RB: Body> std::fmt::Debug for ResponseFuture<S, B, RB>
);
