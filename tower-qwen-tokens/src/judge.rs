//! Judging an error answer once.
//!
//! The cause of a throttle stands in the body, not in the status. So the first of our layers that meets an error answer
//! reads the head of its body, puts a [`Verdict`] into the answer's extensions and gives the whole body on; the others
//! use that verdict.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use http::{HeaderMap, Response, header::CONTENT_ENCODING, response::Parts};
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    Verdict,
    clock::{self, Instant, WallClock},
    peeked::{After, Peeked},
};

/// The most of a body that is read before it is judged. Unit: bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The most frames that are read before the body is judged: empty ones have no bytes to count.
const MAX_FRAMES: usize = 1024;
/// The longest wait for the head of a body.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// Judges an answer. A success is ready at once, and so is an answer that was judged before.
///
/// Of an error answer (status 400 and above) at most 64 KiB are read, for at most a second; then it is judged by what
/// came. A compressed body is judged by status and headers alone.
pub fn judge<B: Body>(response: Response<B>, clock: &WallClock) -> Judge<B> {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if !failed || response.extensions().get::<Verdict>().is_some() {
        return Judge {
            state: State::Ready {
                response: Some(response.map(Peeked::new)),
            },
        };
    }
    let (mut parts, body) = response.into_parts();
    if is_encoded(&parts.headers) || body.is_end_stream() {
        parts.judge(&[], clock);
        return Judge {
            state: State::Ready {
                response: Some(Response::from_parts(parts, Peeked::new(body))),
            },
        };
    }
    Judge {
        state: State::Reading {
            reading: Some(Reading {
                parts,
                body: Box::pin(body),
                frames: VecDeque::new(),
                head: Vec::new(),
            }),
            clock: *clock,
            until: clock::now() + MAX_WAIT,
            timer: None,
        },
    }
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
            clock: WallClock,
            until: Instant,
            #[pin]
            timer: Option<Sleep>,
        },
    }
}

/// An error answer whose head is being read.
struct Reading<B: Body> {
    parts: Parts,
    // In a box since it is polled here and given on afterwards, and a pinned body cannot move. Error answers only.
    body: Pin<Box<B>>,
    frames: VecDeque<Frame<B::Data>>,
    head: Vec<u8>,
}

trait Judged {
    fn judge(&mut self, head: &[u8], clock: &WallClock);
}

impl Judged for Parts {
    fn judge(&mut self, head: &[u8], clock: &WallClock) {
        let verdict = Verdict::of_response(self.status, &self.headers, head, clock.now());
        self.extensions.insert(verdict);
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

impl<B: Body> Reading<B> {
    /// Reads on; ready with what comes after the head once there is enough of it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<After<B::Error>> {
        while self.head.len() < MAX_HEAD && self.frames.len() < MAX_FRAMES {
            let frame = match self.body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(After::End),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(After::Error(error)),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            if let Some(data) = frame.data_ref() {
                copy_head(data, &mut self.head);
            }
            let last = frame.is_trailers();
            self.frames.push_back(frame);
            if last || self.body.is_end_stream() {
                break;
            }
        }
        Poll::Ready(After::Rest)
    }

    fn finish(mut self, after: After<B::Error>, clock: &WallClock) -> Response<Peeked<B>> {
        self.parts.judge(&self.head, clock);
        Response::from_parts(self.parts, Peeked::read(self.frames, after, self.body))
    }
}

/// Copies what a chunk shows without being consumed, up to the cap.
fn copy_head(data: &impl Buf, head: &mut Vec<u8>) {
    let mut slices = [IoSlice::new(&[]); 16];
    let count = data.chunks_vectored(&mut slices);
    for slice in &slices[..count] {
        let room = MAX_HEAD - head.len();
        head.extend_from_slice(&slice[..slice.len().min(room)]);
    }
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
                Poll::Ready(reading.finish(after, clock))
            }
        }
    }
}

impl<B: Body> fmt::Debug for Judge<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}
