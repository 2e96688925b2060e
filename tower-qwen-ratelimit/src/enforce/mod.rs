//! Rejects calls that exceed their caller's quota, in the caller's own dialect: the server's side.
//!
//! # Where in the stack
//!
//! ```text
//! trace > auth (names the tenant) > Enforce > Meter > handler
//! ```
//!
//! Inside auth, so that random keys never reach it and tenants have names; outside `Meter`, which
//! reports the true cost of each call. Without a Meter the estimate of every call stays charged.
//!
//! tower-http's Trace and Timeout can be placed anywhere, and a body limit outside. These orders do
//! not work well:
//!
//! - Compression inside the Meter: the Meter cannot read the usage of a compressed response, and estimates it by the
//!   length.
//! - Timeout outside Enforce: a call that it cuts off keeps its whole estimate, as a call does
//!   whose caller disconnects. Inside Enforce, only the prompt is charged.
//! - Enforce inside a nested router, which removes its prefix from the path: the rest may not show
//!   the dialect (`/messages` of `/v1/messages`). Such a call passes unread. Put Enforce outside
//!   the nest.
//!
//! # What it does
//!
//! 1. It reads the request once ([`Call`](tower_qwen_tokens::Call)).
//! 2. It charges the call to its caller ([`KeyOf`](crate::KeyOf)): one request, and the tokens of
//!    its prompt and expected answer; both or nothing. If the quota has too little of either, it
//!    rejects the call at once with 429 and an error body as the provider itself writes it, which
//!    the provider's clients understand.
//! 3. It settles the tokens by the report of a Meter below, for successes and errors alike.
//!
//! If the Meter reports no usage, the response decides: 4xx returns the call's tokens (with a Meter
//! below: after the response has ended), 5xx or an error of the service keeps the prompt charged. A call that an
//! Admission or a Retry below never sent, or that has provably never begun, gets its tokens back.
//! With a Retry below, failed attempts cost nothing. A throttle of a provider behind the handler
//! does not slow the caller's account.
//!
//! A caller can use the whole quota at once: [`Quota::pacing`](crate::Quota::pacing),
//! [`Quota::burst`](crate::Quota::burst) and [`Quota::headroom`](crate::Quota::headroom) protect
//! clients and have no effect here. Tokens are counted over the latest window. Requests, which are
//! never returned, are counted by governor: a bucket that is full at first and refills evenly, so a
//! caller that was idle can send up to twice the quota within one window.
//!
//! # Queue
//!
//! With [`EnforceLayer::queue`] a call that would be rejected waits for its requests, tokens and further limits: for at most
//! [`CallerQueue::new`]'s time, and in the order of arrival, after those of a higher [`Priority`](crate::Priority) in
//! the request's extensions. It is rejected, with the usual 429 and `Retry-After`, as soon as it is known that it cannot
//! be in time: when it comes, if its predicted wait is too long, if it would miss its
//! [`Deadline`](tower_qwen_tokens::Deadline), or if too many wait already. A budget that has no room rejects it
//! before the wait; it is reserved when the call goes. In shadow mode nobody waits. How long a call has waited is in its
//! [`CallReport`](tower_qwen_tokens::CallReport).
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter, Quota, enforce::CallerQueue};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = Limiter::new(Quota::per_minute(1, 100_000));
//! let enforce = EnforceLayer::new(limiter, KeyOf::peer()).queue(CallerQueue::new(Duration::from_secs(90)));
//! let server = ServiceBuilder::new().layer(enforce).service(service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
//! }));
//! let request = || Request::post("/v1/chat/completions").body(Full::from(r#"{"model":"qwen-plus"}"#));
//! let (first, second) = tokio::join!(server.clone().oneshot(request()?), server.clone().oneshot(request()?));
//! // The second one has waited for a minute.
//! assert_eq!([first?.status(), second?.status()], [StatusCode::OK; 2]);
//! # Ok(())
//! # }
//! ```
//!
//! # Charge before the body
//!
//! A body is read before its tokens are known, so by default a call is charged after that, and one whose body cannot be
//! read costs nothing. A server of strangers uses [`EnforceLayer::charge_before_read`]: the request is taken first, and
//! a caller without one left is rejected unread.
//!
//! # Several limits
//!
//! For one limit per caller and one for all callers, or one per router and one per route, nest two
//! Enforces with a limiter each. One Meter below settles them all. [`Reserved`] is the innermost
//! one's, the response's headers are the outermost one's.
//!
//! # Several processes
//!
//! By itself each process grants the whole quota. With a store
//! ([`LimiterBuilder::callers_store`](crate::LimiterBuilder), feature `redis`) all processes of a fleet grant it once. A
//! call that finds too little in its process waits for one round trip to the store, and holds nothing meanwhile.
//!
//! # Rejections
//!
//! | reason | status | compatible | native | Anthropic |
//! |---|---|---|---|---|
//! | no requests left | 429 | `limit_requests` | `Throttling.RateQuota` | `rate_limit_error` |
//! | no tokens left | 429 | `insufficient_quota` | `Throttling.AllocationQuota` | `rate_limit_error` |
//! | more tokens than a whole window has | 413 | `request_too_large` | `RequestTooLarge` | `request_too_large` |
//! | a quota without requests | 403 | `access_denied` | `AccessDenied` | `permission_error` |
//! | the store of the quota is away, and the policy is to reject | 503 | `limit_requests` | `Throttling.RateQuota` | `rate_limit_error` |
//! | a body that cannot be read | 400 | `invalid_parameter_error` | `InvalidParameter` | `invalid_request_error` |
//! | a body of unknown length that grows too long | 413 | `request_too_large` | `RequestTooLarge` | `request_too_large` |
//!
//! The largest body is set by [`EnforceLayer::read_options`], or by an outer layer such as
//! tower-http's `RequestBodyLimit`. Only the 429s and the 503 carry `Retry-After`: whole seconds, rounded
//! up, never 0. That of a 429 is exact within one process: a call that comes alone after that time is
//! admitted. When waiting does not help, the status is one that no client retries. The response's extensions hold the
//! [`Rejection`], or a [`BodyRejection`](tower_qwen_tokens::meter::BodyRejection) if the body could
//! not be read.
//!
//! A budget ([`EnforceLayer::budgets`]) rejects with 429, or what [`EnforceLayer::budget_status`] says:
//! `budget_exceeded`, `BudgetExceeded` or `billing_error` in the three dialects, `x-should-retry: false`,
//! and `Retry-After`: when the call fits. Where something is left, the message says that a smaller `max_tokens` may fit. A
//! call that may need more than the whole budget gets 413, as one of a quota does, and 403 in place of 429 a call whose
//! budget has nothing at any time (an amount of zero, or a period that never ends). A call that it cannot count (no
//! price, no rate of exchange) gets 403. The response's extensions hold the [`BudgetError`](crate::budget::BudgetError).
//! The budget is taken before the quota and given back where the quota rejects, so neither is charged
//! for a rejected call.
//!
//! # Headers
//!
//! Every response states the caller's limits, in two families ([`HeaderFamily`]):
//!
//! ```text
//! RateLimit-Policy: "requests";q=60;w=60, "tokens";q=100000;w=60;qu="tokens"
//! RateLimit: "requests";r=59;t=1, "tokens";r=98800;t=61
//! x-ratelimit-limit-requests: 60
//! x-ratelimit-remaining-requests: 59
//! x-ratelimit-reset-requests: 1s
//! ```
//!
//! The first family is that of draft-ietf-httpapi-ratelimit-headers-10: `t` is the time until more
//! remains, in seconds, and is omitted while nothing is used. The second is OpenAI's: its reset is
//! the time until the whole quota remains. Headers of the handler with the same names are replaced.
//!
//! # Handlers
//!
//! The handler finds the tokens reserved for its call as [`Reserved`] in the request's extensions;
//! with the feature `axum-0-8` it is an extractor. The call counts as sent: a handler that used
//! nothing calls `settle(0, 0)`.
//!
//! # Shadow mode
//!
//! [`EnforceLayer::shadow`] counts and reports what would be rejected ([`EnforceLayer::counts`],
//! [`EnforceLayer::on_rejection`], [`Rejection::is_shadow`]), but lets it through uncharged and
//! without headers. Only a body that cannot be read is still rejected, because its bytes are gone.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter, Quota};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limiter = Limiter::builder(Quota::per_minute(1, 100_000)).max_keys(50_000).build()?;
//! let server = ServiceBuilder::new()
//!     .layer(EnforceLayer::new(limiter, KeyOf::api_key().or(KeyOf::peer())))
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
//!     }));
//!
//! let request = || {
//!     Request::post("/v1/chat/completions")
//!         .header("authorization", "Bearer sk-1")
//!         .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#))
//! };
//! let response = server.clone().oneshot(request()?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! let rejected = server.oneshot(request()?).await?;
//! assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
//! assert_eq!(rejected.headers()["retry-after"], "60");
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! None of its own: rejections are responses. Errors of the inner service are passed on.
//!
//! # Backpressure
//!
//! The inner service's readiness is passed on. While a request is read, the ready inner service is
//! kept in the future. A call that waits in a queue gives it up, and makes a clone of it ready once it may go.
//!
//! # Cancel safety
//!
//! Dropped while it reads the request or waits in a queue, nothing has been charged. (If the inner service was not ready
//! after a wait, its request counts.) Dropped later, the call may have been
//! sent and its estimate stays charged, unless a Meter reports. If an Admission or a Retry is below (a
//! gateway), it says whether the call was sent: the tokens of a caller who leaves while the call waits
//! there are returned, its request counts.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the limiter's accounts and the counts.

mod authorize;
mod body;
mod budget_status;
mod caller_queue;
mod counts;
mod future;
mod headers;
mod layer;
#[cfg(all(test, feature = "redis"))]
mod leased_tests;
mod queued_call;
mod reserved;
mod responder;
mod service;
mod settings;
mod settle;

pub use crate::rejection::{Rejection, RejectionKind};
pub use body::ResponseBody;
pub use budget_status::BudgetStatus;
pub use caller_queue::CallerQueue;
pub use counts::EnforceCounts;
pub use future::ResponseFuture;
pub use headers::HeaderFamily;
pub use layer::EnforceLayer;
pub use reserved::Reserved;
pub use service::Enforce;
