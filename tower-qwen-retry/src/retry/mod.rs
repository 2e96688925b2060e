//! Sends a call again when it failed for a reason that may go away by itself.
//!
//! # Where in the stack
//!
//! Outside of everything that concerns one attempt, inside of what concerns the call as a whole:
//!
//! ```text
//! trace / total deadline
//!   Retry             decides; owns the replayable request; one logical call
//!     Admission       (tower-qwen-ratelimit) waits; charges one attempt; hears every throttle
//!       attempt timeout
//!         Meter       (tower-qwen-tokens)
//!           transport its own hidden retries switched off
//! ```
//!
//! The provider counts attempts, so each one has to pass Admission. Retry inside of it would step around the quota just
//! when that is used up.
//!
//! # What is retried
//!
//! Error answers by their cause, as the [`Verdict`](tower_qwen_tokens::Verdict) states it: throttles of every kind and
//! server errors are; bad keys, bad parameters, arrears and a used-up free tier are not, nor is the throttle that answers
//! every call which asks for an asynchronous task of a model that has none. Errors of the inner service by
//! their type, along the chain of sources: broken connections and timeouts are (the features `hyper-1`,
//! `hyper-util-0-1`, `h2-0-4`, `reqwest-0-13` and `tower-0-5` know the types of those crates), unknown errors are not, so
//! that a refusal by Admission goes straight to the caller. [`RetryPolicy::rule`](crate::RetryPolicy::rule) and
//! [`RetryPolicy::retry_error`](crate::RetryPolicy::retry_error) have the last word on both.
//!
//! # What is sent again
//!
//! Only what was kept and may take effect twice. Kept are the bodies of model calls, up to the size to which they are read
//! (32 MiB unless [set](crate::RetryLayer::read_options)), and empty ones; the bytes are held once and all attempts share
//! them, with head and extensions as the caller wrote them. Sent again are
//!
//! - a `POST` to a path of a model call, although it is not idempotent: an answer that got lost costs tokens, not harm;
//! - `GET`, `HEAD`, `PUT`, `DELETE`, `OPTIONS` and `TRACE`, which are idempotent by RFC 9110;
//! - anything with an `idempotency-key`, or declared [`Idempotent`](crate::Idempotent).
//!
//! Everything else is sent once: one that is no model call, one too large to hold, one declared
//! [`UnbufferedBody`](tower_qwen_tokens::call::UnbufferedBody), and one that is itself the
//! [retry of a retrier further out](crate::RetryPolicy::marker).
//!
//! # Streams
//!
//! A stream is held back until its first event with content has come, for a second and 64 KiB at most
//! ([`first_event`](crate::RetryPolicy::first_event)). An error until then is retried as if the answer had had its status,
//! and so is a stream that breaks off; both are heard by an Admission inside. From then on every byte flows as it comes,
//! and errors are the caller's.
//!
//! # Throttles
//!
//! Where the server names a wait, the retry comes no earlier and at most a quarter of it later (50 ms at least, 5 s at
//! most), so that callers who were told the same instant do not all come back in it. A wait of a few milliseconds is
//! stretched by own backoff, to at most one second.
//!
//! Where it names none, the wait depends on what stands inside. Alone, Retry has to wait out the quota's minute by
//! itself: [`throttle_backoff`](crate::RetryPolicy::throttle_backoff). An Admission inside has already closed the
//! account and says so with a [`PacedUntil`](tower_qwen_tokens::PacedUntil) mark in the answer's extensions. Then Retry comes back
//! within 50 to 250 ms, the call takes its first place in the queue again, and the account lets it go as soon as there
//! is quota: sleeping here as well would leave quota unused. There is nothing to set: the mark decides, answer by
//! answer.
//!
//! A call that is throttled twice in a row comes back only once the account has opened, so that others go first: the fault
//! may be its own. Where the mark says that the provider refuses whatever is sent, the refusal is no attempt of the call's
//! own; it gives up by [`patience`](crate::RetryPolicy::patience) or deadline.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use tower_qwen_retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
//!
//! let policy = RetryPolicy::default()
//!     .max_attempts(3)
//!     .error_backoff(Backoff::new(Duration::from_millis(200), Duration::from_secs(2)))
//!     .budget(RetryBudget::new(10, 50));
//! let layer = RetryLayer::new(policy);
//! # let _ = layer;
//! ```
//!
//! # Fallbacks
//!
//! After causes that waiting cannot mend a call may go on to [other targets](crate::RetryPolicy::fallback): another model,
//! key or base URL, in the user's order. Nothing is remembered: the next call begins with its own target again.
//!
//! # What the caller sees
//!
//! The last answer as it came, its body whole, with [`Attempts`](crate::Attempts) and, for an error answer, the verdict
//! with the wait that the server asks for in its extensions; or the last error. An error answer's headers arrive once the
//! head of its body was read, after a second at the latest.
//!
//! # Errors
//!
//! The last attempt's, as it came, boxed; that of an inner service that does not become ready for a further attempt. A call
//! that cannot be read is not sent: the error is a [`ReadError`](tower_qwen_tokens::call::ReadError) over
//! [`BoxError`](crate::BoxError), to be downcast.
//!
//! # Deadline
//!
//! A [`Deadline`](tower_qwen_tokens::Deadline) in the request's extensions ends the retries: a wait that would pass it
//! is not begun, and the answer at hand goes back at once. It does not cut off an attempt that runs.
//!
//! # Backpressure
//!
//! Ready when the inner service is; that readiness serves the first attempt. Each further attempt waits for the
//! readiness of a clone of its own, right before it is sent: nothing is held while sleeping. The answer that is retried
//! is dropped before the sleep, which gives its connection back.
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempt under way, or ends the wait. A retry that was begun stays charged to the
//! budget, since nobody knows what becomes of it.
//!
//! # Clone
//!
//! Clones of the layer and of the service, and further services of the same layer, share the budget.

mod body;
mod driver;
mod future;
mod layer;
mod replay;
mod service;
mod settings;
mod target;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use service::Retry;
