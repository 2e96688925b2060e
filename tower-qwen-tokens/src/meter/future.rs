use std::{
    fmt,
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
    internal::{PeekedBody, clock::WallClock},
};

use super::{BodyRejection, ResponseBody, attempt::Attempt, service::Settings};

pin_project! {
    /// Response future of [`Meter`](super::Meter); see the [module docs](super).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, F, B, RB: Body> {
        #[pin]
        state: State<S, F, B, RB>,
        attempt: Option<Attempt>,
        clock: WallClock,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, F, B, RB: Body> {
        Reading {
            #[pin]
            read: ReadCall<B>,
            then: Option<Then<S>>,
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
struct Then<S> {
    ready: S,
    sink: Option<UsageSink>,
    settings: Settings,
}

impl<S, F, B, RB: Body> ResponseFuture<S, F, B, RB> {
    pub(super) fn calling(future: F, attempt: Option<Attempt>, clock: WallClock) -> Self {
        Self {
            state: State::Calling { future },
            attempt,
            clock,
        }
    }

    pub(super) fn reading(
        read: ReadCall<B>,
        ready: S,
        sink: Option<UsageSink>,
        settings: Settings,
    ) -> Self {
        let clock = settings.clock;
        let then = Some(Then {
            ready,
            sink,
            settings,
        });
        Self {
            state: State::Reading { read, then },
            attempt: None,
            clock,
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, S::Future, B, RB>
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
            let next = match this.state.as_mut().project() {
                StateProj::Reading { read, then } => {
                    let mut request = match ready!(read.poll(cx)) {
                        Ok(request) => request,
                        Err(error) => return Poll::Ready(Ok(refusal(BodyRejection::of(error)))),
                    };
                    let mut then = then.take().expect("not polled after it was ready");
                    if let Some(call) = Call::of(&request).map(Arc::clone) {
                        *this.attempt =
                            Attempt::begin(&then.settings, then.sink, call, &mut request);
                    }
                    State::Calling {
                        future: then.ready.call(request),
                    }
                }
                StateProj::Calling { future } => match ready!(future.poll(cx)) {
                    Ok(response) => match this.attempt {
                        Some(attempt) => {
                            attempt.headed(response.status());
                            State::Classifying {
                                classify: classify(response, this.clock),
                            }
                        }
                        None => {
                            return Poll::Ready(Ok(metered(response.map(PeekedBody::new), None)));
                        }
                    },
                    Err(error) => {
                        if let Some(attempt) = this.attempt.take() {
                            attempt.end(End::Failed);
                        }
                        return Poll::Ready(Err(error));
                    }
                },
                StateProj::Classifying { classify } => {
                    let response = ready!(classify.poll(cx));
                    return Poll::Ready(Ok(metered(response, this.attempt.take())));
                }
            };
            this.state.set(next);
        }
    }
}

fn metered<RB: Body>(
    response: Response<PeekedBody<RB>>,
    mut attempt: Option<Attempt>,
) -> Response<ResponseBody<RB>> {
    let (parts, body) = response.into_parts();
    let extra = attempt
        .as_mut()
        .and_then(|attempt| attempt.answered(&parts.headers, parts.extensions.get::<Verdict>()));
    Response::from_parts(parts, ResponseBody::new(body, attempt, extra))
}

fn refusal<RB: Body>(reason: BodyRejection) -> Response<ResponseBody<RB>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = reason.status();
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response.extensions_mut().insert(reason);
    response
}

impl<S, F, B, RB: Body> fmt::Debug for ResponseFuture<S, F, B, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Reading { .. } => "reading",
            State::Calling { .. } => "calling",
            State::Classifying { .. } => "classifying",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
