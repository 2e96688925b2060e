use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    Dialect, Verdict,
    internal::{
        PeekedBody,
        clock::{self, Instant, WallClock},
        peeked_body::After,
    },
    scan::Scanner,
};

use super::{
    options::{Classified, ClassifyOptions, FirstEvent, RequestContext},
    reading::{Head, Reading, put},
};

/// The most of an error answer's body that is read before it is classified. Unit: bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The longest wait for the head of a body.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Classifies an answer. A success is ready at once, and so is an answer that was classified before.
///
/// Of an error answer (status 400 and above) at most 64 KiB are read, for at most a second; then it is classified by what
/// came. A compressed body is classified by status and headers alone.
pub fn classify<B: Body>(response: Response<B>, clock: &WallClock) -> Classify<B> {
    RequestContext::default().classify(response, clock)
}

impl RequestContext {
    /// Classifies an answer as [`classify`] does, by what its request says.
    ///
    /// A stream that is to be held back for its first event is read until an event with content or an error has ended,
    /// its time is up or enough has been read; then all of it goes on. Events without content, such as the first one of
    /// many hosts, which only names the role, tell nothing yet.
    pub fn classify<B: Body>(&self, response: Response<B>, clock: &WallClock) -> Classify<B> {
        let classified = response.extensions().get::<Verdict>().cloned();
        let is_done = response.extensions().get::<Classified>().is_some();
        if is_done || classified.is_some() && !self.knows_more() || self.options.pass(&response) {
            return Classify::ready(response.map(PeekedBody::new));
        }
        let (failed, held) = (is_failure(&response), self.options.holds(&response));
        let (mut parts, body) = response.into_parts();
        if classified.is_some() || is_encoded(&parts.headers) || body.is_end_stream() {
            let verdict = classified.or_else(|| {
                let (status, headers) = (parts.status, &parts.headers);
                failed.then(|| Verdict::of_response(status, headers, &[], clock.now()))
            });
            put(&mut parts, verdict, self);
            return Classify::ready(Response::from_parts(parts, PeekedBody::new(body)));
        }
        let (head, limit, wait) = match held {
            Some(first) => {
                let scanner = Scanner::sse(self.dialect.unwrap_or(Dialect::Chat));
                (Head::Events(Box::new(scanner), 0), first.bytes, first.wait)
            }
            None => (Head::Error(Vec::new()), MAX_HEAD, MAX_WAIT),
        };
        let now = clock::now();
        Classify {
            state: State::Reading {
                reading: Some(Reading::new(parts, body, head, limit)),
                context: self.clone(),
                clock: *clock,
                until: now.checked_add(wait).unwrap_or(now),
                timer: None,
            },
        }
    }
}

impl ClassifyOptions {
    /// Whether an answer is a success of which nothing is held back: there is nothing to classify.
    #[must_use]
    pub fn pass<B>(&self, response: &Response<B>) -> bool {
        !is_failure(response)
            && self.holds(response).is_none()
            && response.extensions().get::<Verdict>().is_none()
    }

    /// How long an answer is held back for its first event.
    fn holds<B>(&self, response: &Response<B>) -> Option<FirstEvent> {
        let held = self.held()?;
        (response.status().is_success() && is_stream(response.headers())).then_some(held)
    }
}

fn is_failure<B>(response: &Response<B>) -> bool {
    response.status().is_client_error() || response.status().is_server_error()
}

pin_project! {
    /// The answer, classified: its [`Verdict`] stands in its extensions if it is an error. Never fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the answer; nothing else is held.
    #[must_use = "futures do nothing unless polled"]
    pub struct Classify<B: Body> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B: Body> {
        Ready {
            response: Option<Response<PeekedBody<B>>>,
        },
        Reading {
            reading: Option<Reading<B>>,
            context: RequestContext,
            clock: WallClock,
            until: Instant,
            #[pin]
            timer: Option<Sleep>,
        },
    }
}

impl<B: Body> Classify<B> {
    fn ready(response: Response<PeekedBody<B>>) -> Self {
        Self {
            state: State::Ready {
                response: Some(response),
            },
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        !value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
    })
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split(|&byte| byte == b';').next())
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

impl<B: Body> Future for Classify<B> {
    type Output = Response<PeekedBody<B>>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Ready { response } => {
                Poll::Ready(response.take().expect("not polled after it was ready"))
            }
            StateProj::Reading {
                reading,
                context,
                clock,
                until,
                mut timer,
            } => {
                let head = reading
                    .as_mut()
                    .expect("not polled after it was ready")
                    .poll_head(cx);
                let after = match head {
                    Poll::Ready(after) => after,
                    Poll::Pending => {
                        if timer.is_none() {
                            timer.set(Some(tokio::time::sleep_until(*until)));
                        }
                        if timer
                            .as_pin_mut()
                            .is_some_and(|timer| timer.poll(cx).is_pending())
                        {
                            return Poll::Pending;
                        }
                        After::Rest
                    }
                };
                let reading = reading.take().expect("polled just now");
                Poll::Ready(reading.finish(after, context, clock))
            }
        }
    }
}

impl<B: Body> fmt::Debug for Classify<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classify").finish_non_exhaustive()
    }
}
