use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    Call, End, UsageSink, Verdict,
    call::ReadCall,
    classify::{Classify, classify},
    macros::opaque_debug,
    shared::{PeekedBody, clock::WallClock},
};

use super::{BodyRejection, ResponseBody, attempt::Attempt, settings::Settings};

pin_project! {
    /// Response future of [`Meter`](super::Meter). See the [module docs](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, B, RB>
    where
        S: Service<Request<B>>,
        RB: Body,
    {
        #[pin]
        phase: MeterPhase<S, S::Future, B, RB>,
        attempt: Option<Attempt>,
        clock: WallClock,
    }
}

pin_project! {
    #[project = MeterPhaseProj]
    enum MeterPhase<S, F, B, RB: Body> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            ready: Option<ReadyCall<S>>,
        },
        Calling {
            #[pin]
            future: F,
        },
        Classifying {
            #[pin]
            classify: Classify<RB>,
        },
    }
}

/// What the call needs once its request is read.
struct ReadyCall<S> {
    service: S,
    sink: Option<UsageSink>,
    settings: Arc<Settings>,
}

impl<S, B, RB> ResponseFuture<S, B, RB>
where
    S: Service<Request<B>>,
    RB: Body,
{
    pub(super) fn calling(future: S::Future, attempt: Option<Attempt>, clock: WallClock) -> Self {
        Self {
            phase: MeterPhase::Calling { future },
            attempt,
            clock,
        }
    }

    pub(super) fn reading(
        read: ReadCall<B>,
        service: S,
        sink: Option<UsageSink>,
        settings: Arc<Settings>,
    ) -> Self {
        let clock = settings.clock;
        let ready = Some(ReadyCall {
            service,
            sink,
            settings,
        });
        Self {
            phase: MeterPhase::Reading { read, ready },
            attempt: None,
            clock,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    B: Body + From<Bytes>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, S::Error>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.phase.as_mut().project() {
                MeterPhaseProj::Reading { read, ready } => {
                    let mut request = match ready!(read.poll(cx)) {
                        Ok(request) => request,
                        Err(error) => return Poll::Ready(Ok(rejected(BodyRejection::of(error)))),
                    };
                    let mut ready = ready.take().expect("not polled after it was ready");
                    if let Some(call) = Call::of(&request).map(Arc::clone) {
                        *this.attempt =
                            Attempt::begin(&ready.settings, ready.sink, call, &mut request);
                    }
                    MeterPhase::Calling {
                        future: ready.service.call(request),
                    }
                }
                MeterPhaseProj::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => match this.attempt {
                        Some(attempt) => {
                            attempt.receive_head(response.status());
                            MeterPhase::Classifying {
                                classify: classify(response, this.clock),
                            }
                        }
                        None => {
                            return Poll::Ready(Ok(metered(response.map(PeekedBody::new), None)));
                        }
                    },
                    Err(error) => {
                        // Without an answer nothing is reported to the sink, but the ledger counts
                        // the failure.
                        if let Some(attempt) = this.attempt.take() {
                            attempt.end(End::Failed);
                        }
                        return Poll::Ready(Err(error));
                    }
                },
                MeterPhaseProj::Classifying { classify } => {
                    let response = ready!(classify.poll(cx));
                    return Poll::Ready(Ok(metered(response, this.attempt.take())));
                }
            };
            this.phase.set(next);
        }
    }
}

fn metered<RB: Body>(
    response: Response<PeekedBody<RB>>,
    mut attempt: Option<Attempt>,
) -> Response<ResponseBody<RB>> {
    let (mut parts, body) = response.into_parts();
    let extra = attempt.as_mut().and_then(|attempt| {
        attempt.attach_report(&mut parts.extensions);
        attempt.receive_answer(&parts.headers, parts.extensions.get::<Verdict>())
    });
    Response::from_parts(parts, ResponseBody::new(body, attempt, extra))
}

fn rejected<RB: Body>(reason: BodyRejection) -> Response<ResponseBody<RB>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = reason.status();
    // An HTTP/1 server would send an empty body of unknown length in chunks.
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response.extensions_mut().insert(reason);
    response
}

opaque_debug!(
    ResponseFuture,
    impl<S: Service<Request<B>>, B, RB: Body> std::fmt::Debug for ResponseFuture<S, B, RB>
);
