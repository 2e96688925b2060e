use std::{
    error::Error,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, Method, Request,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
    request::Parts,
};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{BoxError, Call, ParseError, UnbufferedBody, counting::Counting, request_body};
use crate::{
    Dialect,
    estimate::{Calibration, Estimate},
    internal::clock,
};

/// How requests are read.
///
/// # Clone
///
/// Clones share the [`Calibration`].
///
/// ```
/// use tower_qwen_tokens::{call::ReadOptions, estimate::Calibration};
///
/// let calibration = Calibration::new();
/// let options = ReadOptions::default().calibration(calibration.clone());
/// // `options` goes to the outermost layer; what it learns can be seen here.
/// assert!(calibration.snapshot().is_empty());
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ReadOptions {
    max_body: usize,
    counting: Counting,
}

/// Why a request could not be read. Says nothing of its content.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The caller's body failed.
    Body(E),
    /// A body of unknown length turned out longer than the cap. Its bytes are gone.
    TooLarge {
        /// The cap. Unit: bytes.
        limit: usize,
    },
    /// The body is no request of its dialect.
    Parse(ParseError),
}

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
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<B> {
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

/// The bytes so far: the first chunk as it came, all in one buffer from the second on.
enum Collected {
    One(Bytes),
    Many(BytesMut),
}

impl ReadOptions {
    /// The largest body that is collected. Unit: bytes. Default: 32 MiB, since images travel as base64.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// What counts the texts of a prompt. Default: [`Heuristic`](crate::estimate::Heuristic).
    ///
    /// A calibration works on top of it all the same, and learns what the host adds. With an exact counter, give it one
    /// without caution: `Calibration::with_caution(Ratio::ONE)`.
    pub fn estimate(mut self, counter: impl Estimate + 'static) -> Self {
        self.counting.by(Arc::new(counter));
        self
    }

    /// What corrects the counts, and learns from every call that a `Meter` sees settled. Default: one of its own.
    pub fn calibration(mut self, calibration: Calibration) -> Self {
        self.counting.calibrate(calibration);
        self
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_body: 32 * 1024 * 1024,
            counting: Counting::default(),
        }
    }
}

impl<B: Body + From<Bytes>> ReadCall<B> {
    /// Begins to read a request. Its arrival is now, its [`Deadline`](super::Deadline) the one in its extensions.
    pub fn new(mut request: Request<B>, options: &ReadOptions) -> Self {
        if Call::of(&request).is_some() {
            return Self::ready(request);
        }
        let mut call = Call {
            arrived: clock::now(),
            deadline: request.extensions().get().copied(),
            body: None,
            asking_body: OnceLock::new(),
            model_call: None,
            calibration: None,
        };
        let empty = request.body().size_hint().exact() == Some(0) || request.body().is_end_stream();
        let limit = options.max_body;
        match dialect(&request) {
            Some(dialect) if !empty && request.body().size_hint().lower() <= limit as u64 => {
                let (parts, body) = request.into_parts();
                Self {
                    state: State::Collecting {
                        parts: Some(parts),
                        body,
                        collected: Collected::One(Bytes::new()),
                        call: Some(call),
                        dialect,
                        limit,
                        counting: options.counting.clone(),
                    },
                }
            }
            _ => {
                call.body = empty.then(Bytes::new);
                request.extensions_mut().insert(Arc::new(call));
                Self::ready(request)
            }
        }
    }

    fn ready(request: Request<B>) -> Self {
        Self {
            state: State::Ready {
                request: Some(request),
            },
        }
    }
}

/// The dialect of a request whose body is to be collected.
fn dialect<B>(request: &Request<B>) -> Option<Dialect> {
    let readable = request.method() == Method::POST
        && request.extensions().get::<UnbufferedBody>().is_none()
        && is_json(request.headers())
        && is_plain(request.headers());
    readable.then(|| Dialect::of_path(request.uri().path()))?
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let media = value.to_str().unwrap_or_default();
    let media = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(&*media, "" | "application/json" | "text/json") || media.ends_with("+json")
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"identity")
    })
}

impl<B: Body + From<Bytes>> Future for ReadCall<B> {
    type Output = Result<Request<B>, ReadError<B::Error>>;

    /// # Panics
    ///
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Ready { request } => {
                Poll::Ready(Ok(request.take().expect("not polled after it was ready")))
            }
            StateProj::Collecting {
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
                if !bytes.is_empty() {
                    match request_body::read(*dialect, &parts.headers, &bytes, counting) {
                        Ok(model_call) => {
                            call.model_call = Some(model_call);
                            call.calibration = Some(counting.calibration().clone());
                        }
                        Err(error) => return Poll::Ready(Err(ReadError::Parse(error))),
                    }
                }
                call.body = Some(bytes.clone());
                parts.extensions.insert(Arc::new(call));
                Poll::Ready(Ok(Request::from_parts(parts, B::from(bytes))))
            }
        }
    }
}

impl Collected {
    /// Adds a chunk, with so many bytes known to follow; false where the limit is passed.
    fn push(&mut self, mut data: impl Buf, following: u64, limit: usize) -> bool {
        let length = self.len().saturating_add(data.remaining());
        if length > limit {
            return false;
        }
        match self {
            Self::One(first) if first.is_empty() => *first = data.copy_to_bytes(data.remaining()),
            Self::One(first) => {
                let following = usize::try_from(following)
                    .unwrap_or(limit)
                    .min(limit - length);
                let mut all = BytesMut::with_capacity(length + following);
                all.put_slice(first);
                all.put(data);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.put(data),
        }
        true
    }

    fn len(&self) -> usize {
        match self {
            Self::One(first) => first.len(),
            Self::Many(all) => all.len(),
        }
    }

    fn take(&mut self) -> Bytes {
        match mem::replace(self, Self::One(Bytes::new())) {
            Self::One(first) => first,
            Self::Many(all) => all.freeze(),
        }
    }
}

impl<B> fmt::Debug for ReadCall<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadCall").finish_non_exhaustive()
    }
}

impl<E: Into<BoxError>> ReadError<E> {
    /// The same error with the body's own error boxed: what the layers hand on, to be downcast.
    pub fn boxed(self) -> ReadError<BoxError> {
        match self {
            Self::Body(error) => ReadError::Body(error.into()),
            Self::TooLarge { limit } => ReadError::TooLarge { limit },
            Self::Parse(error) => ReadError::Parse(error),
        }
    }
}

impl<E> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(_) => f.write_str("request body failed"),
            Self::TooLarge { limit } => write!(f, "request body is longer than {limit} bytes"),
            Self::Parse(_) => f.write_str("request body cannot be read"),
        }
    }
}

impl Error for ReadError<BoxError> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(error) => Some(&**error),
            Self::TooLarge { .. } => None,
            Self::Parse(error) => Some(error),
        }
    }
}
