//! Sends a call again if it failed for a reason that may go away.
//!
//! # Where in the stack
//!
//! Outside of everything that concerns one attempt, inside of what concerns the call as a whole:
//!
//! ```text
//! trace / total deadline
//!   Retry             decides; keeps the request; one logical call
//!     Admission       (tower-qwen-ratelimit) waits; charges an attempt; sees every answer
//!       attempt timeout
//!         Meter       (tower-qwen-tokens)
//!           transport its own retries switched off
//! ```
//!
//! The provider counts attempts, so each attempt has to pass Admission. Retry inside of Admission
//! would exceed the quota just when it is used up.
//!
//! # What is retried
//!
//! Error answers, by the cause in their [`Verdict`](tower_qwen_tokens::Verdict). Throttles of every
//! kind and server errors are retried. Bad keys, bad parameters, arrears and a used-up free tier
//! are not, nor is the throttle with which a host answers every asynchronous task of a model that
//! has none.
//!
//! Errors of the inner service, by their type, along the chain of sources. Broken connections and
//! timeouts are retried (the features `hyper-1`, `hyper-util-0-1`, `h2-0-4`, `reqwest-0-13` and
//! `tower-0-5` know the types of those crates). Unknown errors are not, so that a rejection by
//! Admission goes straight to the caller, or to a fallback that [asks for it](crate::Fallback::after_wait)
//! or where the account's plan is used up ([`PlanUsedUp`](tower_qwen_tokens::PlanUsedUp), cause
//! `Account`).
//!
//! [`RetryPolicy::rule`](crate::RetryPolicy::rule) and
//! [`RetryPolicy::retry_error`](crate::RetryPolicy::retry_error) override both.
//!
//! # What is sent again
//!
//! Only a request whose body is in memory and that may take effect twice. In memory are the bodies
//! of model calls, up to the size to which they are read (32 MiB unless
//! [set](crate::RetryLayer::read_options)), and empty ones. The bytes are stored once and shared by
//! all attempts, with head and extensions as the caller wrote them. Sent again are
//!
//! - a `POST` to a path of a model call, although it is not idempotent: a lost answer costs tokens,
//!   but does no harm;
//! - `GET`, `HEAD`, `PUT`, `DELETE`, `OPTIONS` and `TRACE`, which are idempotent by RFC 9110;
//! - anything with an `idempotency-key`, or declared [`Idempotent`](crate::Idempotent).
//!
//! Everything else is sent once: other requests, a body too large to hold, one declared
//! [`UnbufferedBody`](tower_qwen_tokens::call::UnbufferedBody), and a request that is itself the
//! [retry of a retrier further out](crate::RetryPolicy::marker).
//!
//! # Streams
//!
//! A stream is held back until its first event with content, for 1 s and 64 KiB at most
//! ([`first_event`](crate::RetryPolicy::first_event)). An error before that is retried like an
//! error answer, and so is a stream that breaks off; an Admission inside sees both. After that
//! every byte is forwarded as it arrives, and errors go to the caller.
//!
//! # Answers of status 200 that are errors
//!
//! Some hosts and gateways refuse in JSON with a status of 200, in place of an answer or of a stream.
//! Such an answer is held back until it shows what it is
//! ([`json_errors`](crate::RetryPolicy::json_errors)), and an error is retried like an error answer. A
//! larger answer passes as it comes.
//!
//! # Throttles
//!
//! If the server names a wait, the retry comes no earlier and at most a quarter of it later (50 ms
//! at least, 5 s at most), so that callers throttled at the same time do not return at the same
//! time. A wait of a few milliseconds is extended by backoff, to at most 1 s.
//!
//! If it names none, the wait depends on the layers inside. Without an Admission, Retry waits until
//! the quota's minute is over: [`throttle_backoff`](crate::RetryPolicy::throttle_backoff). An
//! Admission has already closed its account, and puts a
//! [`PacedUntil`](tower_qwen_tokens::PacedUntil) mark into the answer's extensions. Then Retry
//! returns within 50 to 250 ms, the call takes its former place in Admission's queue, and is sent
//! as soon as there is quota. A longer wait in Retry would leave quota unused. There is nothing to
//! set: the mark decides, answer by answer.
//!
//! A call that is throttled twice in a row returns only after the account has opened, so that other
//! calls go first: the cause may be this call itself.
//!
//! What others' load does to a call costs it no attempt: a rate throttle with such a mark, or any
//! throttle in an outage (the mark says that the provider rejects every call), if other calls of the
//! model were throttled since this one was, the last time. Then
//! [`patience`](crate::RetryPolicy::patience) or the deadline ends the wait. A call that alone is
//! throttled again and again ends by its own attempts, and so does the one that is throttled while
//! others are served. A provider that is not available costs no attempts in an outage.
//!
//! Where calls at one time are the cause, a wait that the server names is the longest that can be
//! needed: a place comes free when another call ends.
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
//! After a cause that does not go away by waiting, a call may go to [other
//! targets](crate::RetryPolicy::fallback): another model, key or base URL, in the order in which
//! they were added. It may also go there where it would [wait for too
//! long](crate::Fallback::after_wait), or [after its retries](crate::Fallback::after_retries). Several
//! targets can share the load as a [pool](crate::RetryPolicy::pool).
//!
//! A call that an Admission inside rejects was not sent ([`NotSent`](tower_qwen_tokens::NotSent)): it
//! counts as no attempt, and goes to another target without a wait.
//!
//! # Cool-down
//!
//! A target from which a call went on rests: later calls skip it at once, and do not find out anew.
//! Where a rejection is the reason, it rests from the second in a row on, with no success between: the first may be the
//! fault of the call alone.
//!
//! | the call failed there by | calls keep away | probes |
//! |---|---|---|
//! | a wait that the server names (`Retry-After` and its relatives) | until that is over | every 30 minutes, if it is longer |
//! | a used-up window of the plan | until its end, if that is stated | every 30 minutes |
//! | a rejection: a bad key, no permission, an account in arrears, a used-up free tier, an unknown model | until a call succeeds | every 5 minutes ([`cool_down`](crate::RetryPolicy::cool_down)); not before a wait that the server names |
//! | its last retry ([`after_retries`](crate::Fallback::after_retries)), or three failures of a pool's member in a row | until a probe succeeds | every 60 seconds |
//! | a throttle without a named wait, in a pool | for the wait of the [backoff](crate::RetryPolicy::backoff) | |
//!
//! A probe is one call with one attempt; all others keep away until it succeeds, or until the next one is
//! due. So a target that rests gets at most one request in each interval, however many call, unless its rest is of
//! rejections and all others rest too. Rests
//! end by themselves or by a probe; a program has nothing to reset.
//!
//! A target is what makes its answers: its own settings, and what the call brings along (host, path,
//! model, key and account). The bad key of one caller of a gateway says nothing of another's. At most
//! 1,024 targets rest at one time; beyond that, the ones to be probed first are forgotten.
//!
//! Where all targets of a call rest, it waits for the first of them, for at most the
//! [`patience`](crate::RetryPolicy::patience) and not beyond its deadline. If that is too short it fails
//! at once with [`CoolingDown`](crate::CoolingDown), which says when the first is tried again; nothing
//! is sent. A rejection never keeps a call from all targets, since it is no sign of overload: where no
//! other is left, the call goes to the rejecting target that is to be probed first, as a probe, and then
//! waits for the others as above. A call that has used up its retries leaves the last target open, since the call itself may be
//! the reason. A rejection by an Admission inside begins no rest: it costs nothing to ask again.
//!
//! Layers share what they know by their clones, not by their policy.
//!
//! # What the caller sees
//!
//! The last answer, unchanged, with its whole body. Its extensions hold the call's
//! [`CallReport`](tower_qwen_tokens::CallReport) and, for an error answer, the verdict with the wait that the
//! server asks for. Or the last error. The headers of an error answer arrive when the beginning of
//! its body has been read, after 1 s at the latest.
//!
//! # Errors
//!
//! The last attempt's error, unchanged but boxed, or that of an inner service that does not become
//! ready for a further attempt. A call that cannot be read is not sent: the error is a
//! [`ReadError`](tower_qwen_tokens::call::ReadError) over [`BoxError`](crate::BoxError), to be
//! downcast. [`CoolingDown`](crate::CoolingDown) if all targets of a call rest for too long.
//!
//! # Deadline
//!
//! A [`Deadline`](tower_qwen_tokens::Deadline) in the request's extensions ends the retries: a wait
//! that would end after it is not begun, and the caller gets the last answer without a wait. It
//! does not interrupt a running attempt.
//!
//! # Backpressure
//!
//! Ready when the inner service is; that readiness serves the first attempt. Each further attempt
//! waits for the readiness of its own clone, right before it is sent: nothing is held while
//! sleeping. The failed answer is dropped before the sleep, which returns its connection to the
//! pool.
//!
//! # Cancel safety
//!
//! Dropping the future drops the attempt under way, or ends the wait. A retry that was begun stays
//! charged to the retry budget, since its result is unknown.
//!
//! # Clone
//!
//! Clones of the layer and of the service, and further services of the same layer, share the retry
//! budget and the cool-downs.

mod body;
mod driver;
mod future;
mod layer;
mod next_step;
mod replay;
mod router;
mod service;
mod settings;
mod target;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::RetryLayer;
pub use service::Retry;
