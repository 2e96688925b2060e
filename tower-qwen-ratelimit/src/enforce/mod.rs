//! Refuses what is beyond a caller's quota, in the caller's own dialect: the server's side.
//!
//! # Where in the stack
//!
//! ```text
//! trace > auth (names the tenant) > Enforce > Meter > handler
//! ```
//!
//! Behind auth, so that random keys never reach it and tenants have names; outside `Meter`, from which it learns what a
//! call really cost. Without a Meter the estimate of every call stands.
//!
//! Of tower-http's layers, Trace and Timeout may stand anywhere, and a limit of the body outside. These orders do not work:
//!
//! - Compression inside of the Meter: the usage of a compressed answer cannot be read, and the estimate stands.
//! - Timeout outside of Enforce works, but a call that it cuts off keeps its whole estimate, as one that its caller leaves;
//!   inside, only its prompt is charged.
//! - Inside of a nested router, which takes its prefix off the path, where the rest does not tell the dialect: `/messages` of
//!   `/v1/messages`. Such a call passes unread. Outside of the nest it is seen whole.
//!
//! # What it does
//!
//! The request is read once ([`Call`](tower_qwen_tokens::Call)). The call is charged to its caller ([`KeyOf`](crate::KeyOf)):
//! one request and the tokens of its prompt and expected answer, all or nothing. Where they are not there it is refused
//! at once with 429 and an error body as the provider itself writes it, so that clients which know the provider know what
//! to do. The report of a Meter below corrects the tokens, be the answer a success or an error. Where it knows of no usage,
//! the tokens of a call that the handler refuses (4xx) come back, with a Meter below once the answer has ended; one that
//! fails on the server's side (5xx, or an error) keeps its prompt. With a Retry below, the attempts that failed cost nothing.
//! A throttle of a provider behind the handler does not slow the caller's account.
//!
//! The whole quota may go at once, and nothing of it is left unused: [`Quota::pacing`](crate::Quota::pacing),
//! [`Quota::burst`](crate::Quota::burst) and [`Quota::headroom`](crate::Quota::headroom) are the caution of clients and
//! play no part here. Tokens are counted over the latest window; requests, which never come back, by governor: a full
//! bucket at first, refilled evenly, so that a caller who comes back from a rest may have up to twice the quota within one
//! window.
//!
//! # Several limits
//!
//! One per caller and one for all of them, or one of a router and one of a route, are an Enforce each, with a limiter each,
//! one inside of the other. One Meter below settles them all. [`Reserved`] is the innermost one's, the headers of an answer
//! are the outermost one's.
//!
//! # Refusals
//!
//! | what | status | compatible | native | Anthropic |
//! |---|---|---|---|---|
//! | requests | 429 | `limit_requests` | `Throttling.RateQuota` | `rate_limit_error` |
//! | tokens | 429 | `insufficient_quota` | `Throttling.AllocationQuota` | `rate_limit_error` |
//! | more tokens than a whole window has | 413 | `request_too_large` | `RequestTooLarge` | `request_too_large` |
//! | a quota without requests | 403 | `access_denied` | `AccessDenied` | `permission_error` |
//! | a body that cannot be read | 400 | `invalid_parameter_error` | `InvalidParameter` | `invalid_request_error` |
//! | a body of unknown length that grows too long | 413 | `request_too_large` | `RequestTooLarge` | `request_too_large` |
//!
//! How long a body may grow, [`EnforceLayer::read`] says, or a layer further out such as tower-http's `RequestBodyLimit`.
//! Only the first two carry `Retry-After`: whole seconds, rounded up, never 0, and true: a call that comes alone after that
//! time is admitted. What no wait helps has a status that no client retries. [`Rejection`] stands in the answer's
//! extensions, [`BodyRejection`](tower_qwen_tokens::meter::BodyRejection) where the body could not be read.
//!
//! # Headers
//!
//! Every answer, refused or not, says where the caller stands, in two families ([`HeaderFamily`]):
//!
//! ```text
//! RateLimit-Policy: "requests";q=60;w=60, "tokens";q=100000;w=60;qu="tokens"
//! RateLimit: "requests";r=59;t=1, "tokens";r=98800;t=61
//! x-ratelimit-limit-requests: 60
//! x-ratelimit-remaining-requests: 59
//! x-ratelimit-reset-requests: 1s
//! ```
//!
//! The first is that of draft-ietf-httpapi-ratelimit-headers-10: `t` is the time until there is more, in seconds, left out
//! where nothing is used. The second is OpenAI's: its reset is the time until there is all. Headers of the handler with
//! the same names are replaced.
//!
//! # Handlers
//!
//! The handler below finds what was set aside for its call as [`Reserved`] in the request's extensions; with the feature
//! `axum-0-8` it is an extractor. The call counts as sent from then on: where nothing was used after all, the handler says
//! so with `settle(0, 0)`.
//!
//! # Shadow mode
//!
//! [`EnforceLayer::shadow`] counts and reports what would be refused ([`EnforceLayer::counts`],
//! [`EnforceLayer::on_rejection`], [`Rejection::is_shadow`]) and lets it through uncharged, without headers. Only a body that
//! cannot be read is refused all the same, since its bytes are gone.
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
//! let answer = server.clone().oneshot(request()?).await?;
//! assert_eq!(answer.status(), StatusCode::OK);
//! let refusal = server.oneshot(request()?).await?;
//! assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
//! assert_eq!(refusal.headers()["retry-after"], "60");
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! None of its own: whatever it refuses it answers. Those of the inner service are passed on.
//!
//! # Backpressure
//!
//! The inner service's readiness is passed on. Where the request has yet to be read, the ready inner service is taken
//! along into the future.
//!
//! # Cancel safety
//!
//! Dropped while the request is being read, nothing has been charged. Dropped after that, the call has been sent and its
//! estimate stands, unless a Meter reports.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the limiter's accounts and the counts.

mod body;
mod counts;
mod decide;
mod future;
mod headers;
mod layer;
mod problem;
mod rejection;
mod reserved;
mod service;
mod settle;
mod text;

pub use body::ResponseBody;
pub use counts::EnforceCounts;
pub use future::ResponseFuture;
pub use headers::HeaderFamily;
pub use layer::EnforceLayer;
pub use rejection::{Rejection, RejectionKind};
pub use reserved::Reserved;
pub use service::Enforce;
