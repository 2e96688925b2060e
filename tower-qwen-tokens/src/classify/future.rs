use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    Dialect, Verdict,
    macros::opaque_debug,
    scan::Scanner,
    shared::{
        PeekedBody,
        clock::{self, Instant, WallClock},
        content::{is_encoded, is_events},
        peeked_body::AfterHead,
    },
};

use super::{
    json_head::{MAX_JSON_HEAD, is_json},
    options::{Classified, ClassifyOptions, FirstEvent, RequestContext},
    reading::{Head, Reading, put},
};

/// The most of an error answer's body that is read to classify it, in bytes. Error bodies have some
/// hundred bytes; the bound is for servers between us and the provider that send long pages.
const MAX_HEAD: usize = 64 * 1024;
/// The longest wait for the head of an error's body. It usually comes with the headers. A server
/// that stalls must not hold the call back, and status and headers alone classify most errors.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Classifies an answer. The future of a success, or of an answer that was classified before, is
/// ready without a wait.
///
/// Of an error answer (status 400 and above) it reads at most 64 KiB, for at most a second, and
/// classifies what came. A compressed body is not read: status and headers decide.
pub fn classify<B: Body>(response: Response<B>, clock: &WallClock) -> Classify<B> {
    RequestContext::default().classify(response, clock)
}

impl RequestContext {
    /// Classifies an answer as [`classify`] does, and as its request says.
    ///
    /// A stream that is held back for its first event is read until an event with content or an
    /// error has ended, the time is over or the limit of bytes is reached. Events without content
    /// do not decide: the first one of many hosts only names the role. A body that is JSON, though it
    /// is called a stream, is read as JSON ([`ClassifyOptions::json_errors`]).
    pub fn classify<B: Body>(&self, response: Response<B>, clock: &WallClock) -> Classify<B> {
        let classified = response.extensions().get::<Verdict>().cloned();
        let is_done = response.extensions().get::<Classified>().is_some();
        if is_done
            || classified.is_some() && !self.affects_verdict()
            || self.options.pass(&response)
        {
            return Classify::ready(response.map(PeekedBody::new));
        }
        let (failed, held) = (is_failure(&response), self.options.holds(&response));
        let (mut parts, body) = response.into_parts();
        // There is nothing to read, or nothing that reading would add.
        let is_long =
            matches!(held, Some(Hold::Json)) && body.size_hint().lower() > MAX_JSON_HEAD as u64;
        if classified.is_some() || is_encoded(&parts.headers) || body.is_end_stream() || is_long {
            let verdict = classified.or_else(|| {
                let (status, headers) = (parts.status, &parts.headers);
                failed.then(|| Verdict::of_response(status, headers, &[], clock.now()))
            });
            put(&mut parts, verdict, self);
            return Classify::ready(Response::from_parts(parts, PeekedBody::new(body)));
        }
        let (head, limit, wait) = match held {
            Some(Hold::Events(first)) => {
                // An unknown dialect is most likely a compatible one; errors look the same in all.
                let scanner = Scanner::sse(self.dialect.unwrap_or(Dialect::Chat));
                let scanner = match &self.options.events {
                    Some(events) => scanner.share(events),
                    None => scanner,
                };
                (Head::Events(Box::new(scanner), 0), first.bytes, first.wait)
            }
            Some(Hold::Json) => (Head::Json(Box::default()), MAX_JSON_HEAD, MAX_WAIT),
            None => (Head::Error(Vec::new()), MAX_HEAD, MAX_WAIT),
        };
        Classify {
            phase: ClassifyPhase::Reading {
                reading: Some(Reading::new(parts, body, head, limit)),
                context: self.clone(),
                clock: *clock,
                // Until the first byte of JSON there is nothing to pass on but headers.
                until: (!matches!(held, Some(Hold::Json))).then(|| after(wait)),
                wait,
                timer: None,
            },
        }
    }
}

impl ClassifyOptions {
    /// Whether an answer needs no classification: a success that is not held back.
    #[must_use]
    pub fn pass<B>(&self, response: &Response<B>) -> bool {
        !is_failure(response)
            && self.holds(response).is_none()
            && response.extensions().get::<Verdict>().is_none()
    }

    /// For what to hold this answer back.
    fn holds<B>(&self, response: &Response<B>) -> Option<Hold> {
        if !response.status().is_success() {
            return None;
        }
        let headers = response.headers();
        let first = self.held().filter(|_| is_events(headers));
        first
            .map(Hold::Events)
            .or_else(|| (self.holds_json() && is_json(headers)).then_some(Hold::Json))
    }
}

/// What a success is held back for.
#[derive(Clone, Copy)]
enum Hold {
    /// The first event of a stream.
    Events(FirstEvent),
    /// The first members of a JSON body.
    Json,
}

fn after(wait: Duration) -> Instant {
    let now = clock::now();
    // A wait beyond the clock is a mistake: better none than one without end.
    now.checked_add(wait).unwrap_or(now)
}

fn is_failure<B>(response: &Response<B>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

pin_project! {
    /// The classified answer: if it is an error, its [`Verdict`] is in its extensions. Never fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the answer. It holds nothing else.
    #[must_use = "futures do nothing unless polled"]
    pub struct Classify<B: Body> {
        #[pin]
        phase: ClassifyPhase<B>,
    }
}

pin_project! {
    #[project = ClassifyPhaseProj]
    enum ClassifyPhase<B: Body> {
        Ready {
            response: Option<Response<PeekedBody<B>>>,
        },
        Reading {
            reading: Option<Reading<B>>,
            context: RequestContext,
            clock: WallClock,
            until: Option<Instant>,
            wait: Duration,
            #[pin]
            timer: Option<Sleep>,
        },
    }
}

impl<B: Body> Classify<B> {
    fn ready(response: Response<PeekedBody<B>>) -> Self {
        Self {
            phase: ClassifyPhase::Ready {
                response: Some(response),
            },
        }
    }
}

impl<B: Body> Future for Classify<B> {
    type Output = Response<PeekedBody<B>>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().phase.project() {
            ClassifyPhaseProj::Ready { response } => {
                Poll::Ready(response.take().expect("not polled after it was ready"))
            }
            ClassifyPhaseProj::Reading {
                reading,
                context,
                clock,
                until,
                wait,
                mut timer,
            } => {
                let open = reading.as_mut().expect("not polled after it was ready");
                let after_head = match open.poll_head(cx) {
                    Poll::Ready(after) => after,
                    Poll::Pending => {
                        if open.has_begun() {
                            until.get_or_insert_with(|| after(*wait));
                        }
                        // Most heads are ready at the first poll, so the timer is created only when
                        // one is not.
                        if let Some(until) = until.filter(|_| timer.is_none()) {
                            timer.set(Some(tokio::time::sleep_until(until)));
                        }
                        if timer
                            .as_pin_mut()
                            .is_none_or(|timer| timer.poll(cx).is_pending())
                        {
                            return Poll::Pending;
                        }
                        AfterHead::Rest
                    }
                };
                let reading = reading.take().expect("polled just now");
                Poll::Ready(reading.finish(after_head, context, clock))
            }
        }
    }
}

opaque_debug!(Classify, impl<B: Body> std::fmt::Debug for Classify<B>);
