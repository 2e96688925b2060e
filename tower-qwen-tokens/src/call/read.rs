use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header::CONTENT_TYPE, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    Call, CallReport, ReadError, ReadOptions, collected::Collected, counting::Counting,
    request_body, running::RunningCall,
};
use crate::{
    Dialect,
    macros::opaque_debug,
    shared::{clock, content::is_encoded},
};

/// Declares that the request's body is not to be collected: too precious to hold, or of unknown
/// end.
///
/// Put into the request's extensions by the caller. The body passes untouched, at the cost of an
/// unread call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UnbufferedBody;

pin_project! {
    /// Reads a request: resolves to the same request with an `Arc<Call>` in its extensions and its body again.
    ///
    /// Ready at once where there is nothing to collect: a call that was read before, a request that is no model call, a
    /// body that is too large, compressed or [`UnbufferedBody`]. Such a body is left untouched. A body that is collected
    /// loses its trailers, which no provider of models asks for.
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the request; nothing else is held.
    #[must_use = "futures do nothing unless polled"]
    pub struct ReadCall<B> {
        #[pin]
        phase: ReadPhase<B>,
        // Only for a caller who keeps a clone of the report: the call ends if this is dropped first.
        running: Option<RunningCall>,
    }
}

pin_project! {
    #[project = ReadPhaseProj]
    enum ReadPhase<B> {
        Ready {
            request: Option<Request<B>>,
        },
        Collecting {
            parts: Option<Parts>,
            #[pin]
            body: B,
            collected: Collected,
            call: Option<Call>,
            dialect: Dialect,
            limit: usize,
            counting: Counting,
        },
    }
}

impl<B: Body + From<Bytes>> ReadCall<B> {
    /// Begins to read a request. Its arrival is now, its [`Deadline`](super::Deadline) the one in its extensions.
    pub fn new(mut request: Request<B>, options: &ReadOptions) -> Self {
        // Read by an outer layer or an earlier attempt: arrival and deadline must stay the first
        // ones.
        if Call::of(&request).is_some() {
            return Self::ready(request, None);
        }
        let of_caller = request.extensions().get::<CallReport>().cloned();
        let running = of_caller.as_ref().map(RunningCall::new);
        let mut call = Call {
            arrived: clock::now(),
            deadline: request.extensions().get().copied(),
            body: None,
            asking_body: OnceLock::new(),
            model_call: None,
            calibration: None,
            report: of_caller.unwrap_or_default(),
        };
        // Some bodies know their size, others only that they have ended.
        let empty = request.body().size_hint().exact() == Some(0) || request.body().is_end_stream();
        let limit = options.max_body;
        match dialect(&request) {
            // A body that announces too much passes unread and whole. One that turns out too large
            // while it is collected is an error, since its first bytes are gone.
            Some(dialect) if !empty && request.body().size_hint().lower() <= limit as u64 => {
                let (parts, body) = request.into_parts();
                Self {
                    phase: ReadPhase::Collecting {
                        parts: Some(parts),
                        body,
                        collected: Collected::One(Bytes::new()),
                        call: Some(call),
                        dialect,
                        limit,
                        counting: options.counting.clone(),
                    },
                    running,
                }
            }
            _ => {
                call.body = empty.then(Bytes::new);
                request.extensions_mut().insert(Arc::new(call));
                Self::ready(request, running)
            }
        }
    }

    fn ready(request: Request<B>, running: Option<RunningCall>) -> Self {
        Self {
            phase: ReadPhase::Ready {
                request: Some(request),
            },
            running,
        }
    }
}

/// The call does not end here: the layer that reads it goes on.
fn pass_on(running: &mut Option<RunningCall>) {
    if let Some(running) = running.take() {
        running.pass_on();
    }
}

/// The dialect of a request whose body is to be collected.
fn dialect<B>(request: &Request<B>) -> Option<Dialect> {
    let readable = request.method() == Method::POST
        && request.extensions().get::<UnbufferedBody>().is_none()
        && is_json(request.headers())
        && !is_encoded(request.headers());
    readable.then(|| Dialect::of_path(request.uri().path()))?
}

fn is_json(headers: &HeaderMap) -> bool {
    // Small clients leave it out; the path has said already that this is a model call.
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let kind = value.to_str().unwrap_or_default().split(';').next();
    let media = kind.unwrap_or_default().trim().to_ascii_lowercase();
    matches!(&*media, "" | "application/json" | "text/json") || media.ends_with("+json")
}

impl<B: Body + From<Bytes>> Future for ReadCall<B> {
    type Output = Result<Request<B>, ReadError<B::Error>>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.phase.project() {
            ReadPhaseProj::Ready { request } => {
                pass_on(this.running);
                Poll::Ready(Ok(request.take().expect("not polled after it was ready")))
            }
            ReadPhaseProj::Collecting {
                parts,
                mut body,
                collected,
                call,
                dialect,
                limit,
                counting,
            } => {
                while let Some(frame) = ready!(body.as_mut().poll_frame(cx)) {
                    let frame = match frame {
                        Ok(frame) => frame,
                        Err(error) => return Poll::Ready(Err(ReadError::Body(error))),
                    };
                    if let Ok(data) = frame.into_data()
                        && !collected.push(data, body.size_hint().lower(), *limit)
                    {
                        return Poll::Ready(Err(ReadError::TooLarge { limit: *limit }));
                    }
                }
                let mut parts = parts.take().expect("not polled after it was ready");
                let mut call = call.take().expect("taken together with the parts");
                let bytes = collected.take();
                // A body may turn out empty at its end only. Then there is no call to read, and
                // nothing wrong.
                if !bytes.is_empty() {
                    match request_body::read(*dialect, &parts.headers, &bytes, counting) {
                        Ok(model_call) => {
                            call.model_call = Some(model_call);
                            call.calibration = Some(counting.calibration.clone());
                        }
                        Err(error) => return Poll::Ready(Err(ReadError::Parse(error))),
                    }
                }
                call.body = Some(bytes.clone());
                parts.extensions.insert(Arc::new(call));
                pass_on(this.running);
                Poll::Ready(Ok(Request::from_parts(parts, B::from(bytes))))
            }
        }
    }
}

opaque_debug!(ReadCall, impl<B> std::fmt::Debug for ReadCall<B>);
