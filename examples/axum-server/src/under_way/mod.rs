//! What the callers' calls hold while they are under way: calls, bytes of bodies, time.
//!
//! Before any quota is asked, since a body has to be there before its tokens can be counted.

mod body;
mod service;

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use http::{
    HeaderValue,
    header::{CONNECTION, RETRY_AFTER},
};
use http_body::Body as _;
use http_body_util::Either;
use tower_qwen_tokens::{
    error_format::ErrorFormat,
    ledger::Tenant,
    protocol::rejection::{REQUESTS, RejectionCodes, UNAVAILABLE},
};

pub use self::{
    body::HeldBody,
    service::{ResponseFuture, Watch},
};

use self::body::WatchedBody;
use crate::{
    errors::{REQUEST_TIMED_OUT, error_format, too_long},
    limits::Limits,
    waits,
};

/// What is under way, of all callers together and of each. Clones share it.
#[derive(Debug, Clone)]
pub struct UnderWay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    bytes: AtomicU64,
    /// Those with calls under way, and some that had.
    callers: Mutex<HashMap<Tenant, Arc<Caller>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bounds {
    body: usize,
    body_timeout: Duration,
    caller_calls: usize,
    caller_bytes: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Caller {
    calls: AtomicUsize,
    bytes: AtomicU64,
}

/// One call under way, until this is dropped.
#[derive(Debug)]
struct Place {
    all: Arc<Shared>,
    caller: Arc<Caller>,
    bytes: AtomicU64,
    /// What was wrong with its body.
    problem: AtomicU8,
}

/// A call that is watched.
#[derive(Debug)]
struct Watched {
    format: ErrorFormat,
    place: Arc<Place>,
}

/// The answer to a call that was watched, or the gateway's own.
type WatchedAnswer<B> = Response<Either<HeldBody<B>, Body>>;

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    TooLong = 1,
    TooSlow,
    CallerBytes,
    AllBytes,
}

impl UnderWay {
    /// Bounds for all callers; no body is longer than so many bytes.
    #[must_use]
    pub fn new(limits: &Limits, max_body: usize) -> Self {
        let bounds = Bounds {
            body: max_body,
            body_timeout: limits.body_timeout,
            caller_calls: limits.caller_calls(),
            caller_bytes: limits.max_caller_bytes,
            bytes: limits.max_bytes,
        };
        Self(Arc::new(Shared {
            bounds,
            bytes: AtomicU64::new(0),
            callers: Mutex::default(),
        }))
    }

    /// How many calls are under way.
    #[must_use]
    pub fn calls(&self) -> usize {
        let callers = self.0.callers.lock();
        let callers = callers.unwrap_or_else(PoisonError::into_inner);
        let calls = callers.values().map(|caller| caller.calls.load(Relaxed));
        calls.sum()
    }

    /// A place for a call; `None` if its caller has too many.
    fn enter(&self, tenant: &Tenant) -> Option<Arc<Place>> {
        let caller = self.caller(tenant);
        if caller.calls.fetch_add(1, Relaxed) >= self.0.bounds.caller_calls {
            caller.calls.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Arc::new(Place {
            all: Arc::clone(&self.0),
            caller,
            bytes: AtomicU64::new(0),
            problem: AtomicU8::new(0),
        }))
    }

    fn caller(&self, tenant: &Tenant) -> Arc<Caller> {
        const FEW: usize = 1_024;
        let callers = self.0.callers.lock();
        let mut callers = callers.unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = callers.get(tenant) {
            return Arc::clone(caller);
        }
        // Callers come and go by the administrator's word; of those that are gone nothing stays.
        if callers.len() >= FEW && callers.len() == callers.capacity() {
            callers.retain(|_, caller| Arc::strong_count(caller) > 1);
        }
        Arc::clone(callers.entry(tenant.clone()).or_default())
    }
}

impl Watched {
    /// Begins to watch a call.
    ///
    /// # Errors
    ///
    /// The answer to a caller who has too many under way, boxed for its size.
    fn begin(under_way: &UnderWay, request: &Request) -> Result<Self, Box<Response>> {
        let format = error_format(request);
        let place = match request.extensions().get() {
            Some(tenant) => under_way.enter(tenant),
            None => under_way.enter(&Tenant::new("")),
        };
        match place {
            Some(place) => Ok(Self { format, place }),
            None => {
                let most = under_way.0.bounds.caller_calls;
                let message = format!(
                    "Too many calls of this caller are under way: {most}. Please try again in 1s."
                );
                Err(Box::new(later(&format, REQUESTS, &message)))
            }
        }
    }

    /// The request with a body that is watched.
    fn request(&self, request: Request) -> Request {
        if request.body().is_end_stream() {
            return request;
        }
        request.map(|body| Body::new(WatchedBody::new(body, Arc::clone(&self.place))))
    }

    /// The call's answer, or one that says what went wrong with its body.
    // Not boxed, as a layer outside does it: each box costs each frame of a stream some steps more.
    fn answer<B>(self, mut answer: Response<B>) -> WatchedAnswer<B> {
        let Self { format, place } = self;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            if let Some(problem) = place.problem() {
                return problem.answer(&format).map(Either::Right);
            }
            waits::agree(&mut answer);
        }
        answer.map(|body| Either::Left(HeldBody::new(body, place)))
    }
}

/// The answer to a call that may come again at once.
fn later(format: &ErrorFormat, codes: RejectionCodes, message: &str) -> Response {
    let mut answer = format.error(codes, message).map(Body::from);
    let soon = HeaderValue::from_static("1");
    answer.headers_mut().insert(RETRY_AFTER, soon);
    answer
}

impl Place {
    fn problem(&self) -> Option<Problem> {
        use Problem::{AllBytes, CallerBytes, TooLong, TooSlow};
        let number = self.problem.load(Relaxed);
        let all = [TooLong, TooSlow, CallerBytes, AllBytes];
        all.into_iter().find(|&problem| problem as u8 == number)
    }

    /// So many bytes more are there.
    fn add(&self, bytes: usize) -> Result<(), Problem> {
        let bounds = &self.all.bounds;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let own = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        let of_caller = self.caller.bytes.fetch_add(bytes, Relaxed) + bytes;
        let of_all = self.all.bytes.fetch_add(bytes, Relaxed) + bytes;
        if own > bounds.body as u64 {
            Err(Problem::TooLong)
        } else if of_caller > bounds.caller_bytes {
            Err(Problem::CallerBytes)
        } else if of_all > bounds.bytes {
            Err(Problem::AllBytes)
        } else {
            Ok(())
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Relaxed);
        self.caller.bytes.fetch_sub(bytes, Relaxed);
        self.all.bytes.fetch_sub(bytes, Relaxed);
        self.caller.calls.fetch_sub(1, Relaxed);
    }
}

impl Problem {
    fn answer(self, format: &ErrorFormat) -> Response {
        match self {
            Self::TooLong => too_long(format),
            Self::TooSlow => {
                let message = "The request body did not come in time.";
                let mut answer = format.error(REQUEST_TIMED_OUT, message).map(Body::from);
                // What comes of it now would be taken for the next request.
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
                answer
            }
            Self::CallerBytes => {
                let message = "The bodies of this caller's calls that are under way are too long together. Please try again in 1s.";
                later(format, REQUESTS, message)
            }
            Self::AllBytes => {
                let message = "The server has no room for this body now. Please try again in 1s.";
                later(format, UNAVAILABLE, message)
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the body is too long",
            Self::TooSlow => "the body did not come in time",
            Self::CallerBytes => "the caller's bodies are too long together",
            Self::AllBytes => "all bodies are too long together",
        })
    }
}

impl Error for Problem {}
