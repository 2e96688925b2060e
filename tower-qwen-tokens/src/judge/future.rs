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
    clock::{self, Instant, WallClock},
    peeked::{After, Peeked},
    scan::Scanner,
};

use super::{
    options::{FirstEvent, JudgeOptions, Judged, Judging},
    reading::{Head, Reading, put},
};

/// The most of an error answer's body that is read before it is judged. Unit: bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The longest wait for the head of a body.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Judges an answer. A success is ready at once, and so is an answer that was judged before.
///
/// Of an error answer (status 400 and above) at most 64 KiB are read, for at most a second; then it is judged by what
/// came. A compressed body is judged by status and headers alone.
pub fn judge<B: Body>(response: Response<B>, clock: &WallClock) -> Judge<B> {
    Judging::default().judge(response, clock)
}

impl Judging {
    /// Judges an answer as [`judge`] does, by what its request says.
    ///
    /// A stream that is to be held back for its first event is read until an event with content or an error has ended,
    /// its time is up or enough has been read; then all of it goes on. Events without content, such as the first one of
    /// many hosts, which only names the role, tell nothing yet.
    pub fn judge<B: Body>(&self, response: Response<B>, clock: &WallClock) -> Judge<B> {
        let judged = response.extensions().get::<Verdict>().cloned();
        let is_done = response.extensions().get::<Judged>().is_some();
        if is_done || judged.is_some() && !self.knows_more() || self.options.pass(&response) {
            return Judge::ready(response.map(Peeked::new));
        }
        let (failed, held) = (is_failure(&response), self.options.holds(&response));
        let (mut parts, body) = response.into_parts();
        if judged.is_some() || is_encoded(&parts.headers) || body.is_end_stream() {
            let verdict = judged.or_else(|| {
                let (status, headers) = (parts.status, &parts.headers);
                failed.then(|| Verdict::of_response(status, headers, &[], clock.now()))
            });
            put(&mut parts, verdict, self);
            return Judge::ready(Response::from_parts(parts, Peeked::new(body)));
        }
        let (head, limit, wait) = match held {
            Some(first) => {
                let scanner = Scanner::sse(self.dialect.unwrap_or(Dialect::Chat));
                (Head::Events(Box::new(scanner), 0), first.bytes, first.wait)
            }
            None => (Head::Error(Vec::new()), MAX_HEAD, MAX_WAIT),
        };
        let now = clock::now();
        Judge {
            state: State::Reading {
                reading: Some(Reading::new(parts, body, head, limit)),
                judging: self.clone(),
                clock: *clock,
                until: now.checked_add(wait).unwrap_or(now),
                timer: None,
            },
        }
    }
}

impl JudgeOptions {
    /// Whether an answer is a success of which nothing is held back: there is nothing to judge.
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
    /// The answer, judged: its [`Verdict`] stands in its extensions if it is an error. Never fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the answer; nothing else is held.
    #[must_use = "futures do nothing unless polled"]
    pub struct Judge<B: Body> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B: Body> {
        Ready {
            response: Option<Response<Peeked<B>>>,
        },
        Reading {
            reading: Option<Reading<B>>,
            judging: Judging,
            clock: WallClock,
            until: Instant,
            #[pin]
            timer: Option<Sleep>,
        },
    }
}

impl<B: Body> Judge<B> {
    fn ready(response: Response<Peeked<B>>) -> Self {
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

impl<B: Body> Future for Judge<B> {
    type Output = Response<Peeked<B>>;

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
                judging,
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
                Poll::Ready(reading.finish(after, judging, clock))
            }
        }
    }
}

impl<B: Body> fmt::Debug for Judge<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}
