use std::{
    error::Error,
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
    internal::{chain, was_never_begun},
    ledger::Tenant,
};
use tower_service::Service;

use super::{
    BudgetError, BudgetReservation, Granted, LeaseWait, Reserving, call::BudgetCall,
    settings::BudgetSettings,
};
use crate::{BoxError, error::Rejected};

pin_project! {
    /// Response future of [`BudgetService`](super::BudgetService); see the [module docs](super).
    ///
    /// # Cancel safety
    ///
    /// See the [module docs](super#cancel-safety).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        service: S,
        settings: Arc<BudgetSettings>,
        request: Option<Request<B>>,
        reservation: Option<Arc<BudgetReservation>>,
        #[pin]
        stage: BudgetStage<S::Future, B>,
    }
}

pin_project! {
    #[project = BudgetStageProj]
    enum BudgetStage<F, B> {
        Reading { #[pin] read: ReadCall<B> },
        Leasing { #[pin] wait: LeaseWait },
        Readying,
        Calling { #[pin] future: F },
        Done,
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
    B: Body + From<Bytes>,
{
    pub(super) fn new(service: S, request: Request<B>, settings: Arc<BudgetSettings>) -> Self {
        Self {
            service,
            request: None,
            reservation: None,
            stage: BudgetStage::Reading {
                read: ReadCall::new(request, &settings.read_options),
            },
            settings,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Body + From<Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let output = loop {
            let next = match this.stage.as_mut().project() {
                BudgetStageProj::Reading { read } => match ready!(read.poll(cx)) {
                    Ok(request) => {
                        let reserving = reserve(&request, this.settings);
                        *this.request = Some(request);
                        match reserving {
                            None => BudgetStage::Readying,
                            Some(Reserving::Waits(wait)) => BudgetStage::Leasing { wait },
                            Some(Reserving::Done(Ok(granted))) => {
                                *this.reservation = attach(granted, this.request);
                                BudgetStage::Readying
                            }
                            Some(Reserving::Done(Err(error))) => break Err(error.into()),
                        }
                    }
                    Err(error) => break Err(error.boxed().into()),
                },
                BudgetStageProj::Leasing { wait } => match ready!(wait.poll(cx)) {
                    Ok(granted) => {
                        *this.reservation = attach(granted, this.request);
                        BudgetStage::Readying
                    }
                    Err(error) => break Err(error.into()),
                },
                BudgetStageProj::Readying => {
                    if let Err(error) = ready!(this.service.poll_ready(cx)) {
                        break Err(error.into());
                    }
                    let request = this.request.take().expect("it has been read");
                    // Before the call: an Admission below takes it back until it sends.
                    if let Some(reservation) = this.reservation {
                        reservation.mark_sent();
                    }
                    let future = this.service.call(request);
                    BudgetStage::Calling { future }
                }
                BudgetStageProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    let reservation = this.reservation.take();
                    break match result {
                        Ok(response) => {
                            if let Some(reservation) = &reservation {
                                report_head(reservation, &response, this.settings);
                            }
                            Ok(response)
                        }
                        Err(error) => {
                            let error = error.into();
                            if let Some(reservation) = &reservation
                                && chain(error.as_ref()).any(was_not_sent)
                            {
                                reservation.give_back();
                            }
                            Err(error)
                        }
                    };
                }
                BudgetStageProj::Done => panic!("polled after it was ready"),
            };
            this.stage.set(next);
        };
        this.stage.set(BudgetStage::Done);
        // What is left of a call that was not sent comes back at once.
        *this.reservation = None;
        Poll::Ready(output)
    }
}

/// Reserves for a request that has been read; `None` if it calls no model.
fn reserve<B>(request: &Request<B>, settings: &BudgetSettings) -> Option<Reserving> {
    let call = BudgetCall::of(request)?;
    let tenant = request.extensions().get::<Tenant>();
    let tenant = tenant.map_or("", Tenant::as_str);
    let budgets = &settings.budgets;
    Some(budgets.acquire_call(tenant, call, settings.is_shadow))
}

/// Gives the reservation to the request, for the Meter below.
fn attach<B>(granted: Granted, request: &mut Option<Request<B>>) -> Option<Arc<BudgetReservation>> {
    let request = request.as_mut()?;
    let call = Call::of(request).map(|call| &**call);
    let reservation = Arc::new(granted.reservation.for_call(call));
    UsageSink::new(reservation.clone()).attach(request.extensions_mut());
    Some(reservation)
}

/// Settles what the head of the response decides: an error. The rest is the Meter's.
fn report_head<B>(
    reservation: &BudgetReservation,
    response: &Response<B>,
    settings: &BudgetSettings,
) {
    let status = response.status();
    if let Some(verdict) = response.extensions().get::<Verdict>() {
        reservation.fail(verdict);
    } else if status.is_client_error() || status.is_server_error() {
        let now = settings.clock.now();
        let verdict = Verdict::of_response(status, response.headers(), b"", now);
        reservation.fail(&verdict);
    }
}

/// Whether a call was provably not worked on, by one error of its chain.
fn was_not_sent(error: &(dyn Error + 'static)) -> bool {
    error.is::<Rejected>() || error.is::<BudgetError>() || was_never_begun(error)
}

opaque_debug!(
    ResponseFuture,
    impl<S: Service<Request<B>>, B> std::fmt::Debug for ResponseFuture<S, B>
);
