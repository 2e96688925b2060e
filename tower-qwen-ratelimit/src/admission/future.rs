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
use tower_qwen_tokens::{
    Call, UsageSink, Verdict,
    call::ReadCall,
    internal::{Classify, RequestContext, clock::WallClock},
    ledger::Tenant,
    protocol::{Levels, header::X_DASHSCOPE_WAIT_TIMEOUT},
};
use tower_service::Service;

use super::{AnswerKind, ResponseBody, layer::Options};
use crate::{
    BoxError, acquire::Acquire, cost::Cost, key::KeyRef, limiter::Limiter, queue::Weight,
    reservation::Reservation,
};

pin_project! {
    /// The answer of an [`Admission`](super::Admission), once the call has had its turn.
    ///
    /// # Cancel safety
    ///
    /// See the [module](super).
    pub struct ResponseFuture<S, B, RB>
    where
        S: Service<Request<B>>,
        B: Body,
        RB: Body,
    {
        service: S,
        limiter: Limiter,
        options: Options,
        request: Option<Request<B>>,
        reservation: Option<Arc<Reservation>>,
        context: RequestContext,
        #[pin]
        state: State<S::Future, B, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B, RB>
    where
        B: Body,
        RB: Body,
    {
        Reading { #[pin] reading: ReadCall<B> },
        Waiting { #[pin] waiting: Acquire },
        Readying,
        Calling { #[pin] calling: F },
        Classifying { #[pin] classify: Classify<RB> },
    }
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body + From<Bytes>,
    RB: Body,
{
    pub(super) fn new(service: S, request: Request<B>, limiter: Limiter, options: Options) -> Self {
        Self {
            service,
            limiter,
            request: None,
            reservation: None,
            context: RequestContext::default(),
            state: State::Reading {
                reading: ReadCall::new(request, &options.read),
            },
            options,
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Reading { reading } => {
                    let request = ready!(reading.poll(cx)).map_err(|error| error.boxed())?;
                    let waiting = acquire(this.limiter, this.options, &request);
                    *this.request = Some(request);
                    this.state.set(State::Waiting { waiting });
                }
                StateProj::Waiting { waiting } => {
                    let mut reservation = ready!(waiting.poll(cx))?;
                    if let Some(call) = this.request.as_ref().and_then(Call::of) {
                        reservation = reservation.for_call(call);
                    }
                    *this.reservation = Some(Arc::new(reservation));
                    this.state.set(State::Readying);
                }
                StateProj::Readying => {
                    ready!(this.service.poll_ready(cx)).map_err(Into::into)?;
                    let (Some(mut request), Some(reservation)) =
                        (this.request.take(), this.reservation.as_ref())
                    else {
                        return Poll::Pending;
                    };
                    if let Some(seconds) = &this.options.provider_queue_timeout {
                        let headers = request.headers_mut();
                        headers
                            .entry(X_DASHSCOPE_WAIT_TIMEOUT)
                            .or_insert_with(|| seconds.clone());
                    }
                    *this.context = RequestContext::of(&request);
                    reservation.mark_sent();
                    UsageSink::new(reservation.clone()).attach(request.extensions_mut());
                    let calling = this.service.call(request);
                    this.state.set(State::Calling { calling });
                }
                StateProj::Calling { calling } => {
                    let response = ready!(calling.poll(cx)).map_err(Into::into)?;
                    let classify = this.context.classify(response, &this.options.wall);
                    this.state.set(State::Classifying { classify });
                }
                StateProj::Classifying { classify } => {
                    let mut response = ready!(classify.poll(cx));
                    let reservation = this.reservation.take();
                    if let Some(reservation) = &reservation {
                        hear(reservation, &mut response, &this.options.wall);
                    }
                    return Poll::Ready(Ok(
                        response.map(|body| ResponseBody::new(body, reservation))
                    ));
                }
            }
        }
    }
}

fn acquire<B>(limiter: &Limiter, options: &Options, request: &Request<B>) -> Acquire {
    let call = Call::of(request);
    let account = limiter.account(KeyRef::of(request, call.map(Arc::as_ref)));
    let cost = call.map_or(Cost::request(), |call| Cost::of(call));
    let mut acquire = Acquire::new(account, cost);
    if let Some(call) = call {
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
    match options.max_wait {
        Some(max_wait) => acquire.max_wait(max_wait),
        None => acquire,
    }
}

/// Tells the account what the answer's head says.
fn hear<B>(reservation: &Reservation, response: &mut Response<B>, wall: &WallClock) {
    reservation.told(&Levels::of(response.headers(), wall.now()));
    let Some(verdict) = response.extensions().get::<Verdict>() else {
        reservation.accepted();
        return;
    };
    let paced = if verdict.is_throttle() {
        Some(reservation.throttled(verdict))
    } else {
        reservation.fail(verdict);
        reservation.unavailable(verdict)
    };
    if let Some(paced) = paced {
        response.extensions_mut().insert(paced);
    }
}

impl<S, B, RB> fmt::Debug for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
    B: Body,
    RB: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
