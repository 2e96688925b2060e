//! Waits for quota before each attempt and settles after it: the client's side.
//!
//! # Where in the stack
//!
//! ```text
//! Retry > Admission > attempt timeout > Meter > transport
//! ```
//!
//! Inside `Retry`, since the provider counts attempts; outside an attempt timeout, so that the wait
//! for quota does not count as a slow server; outside `Meter`, which reports the true cost of the
//! attempt. Without a Meter below, the estimate of every call stays charged. One Meter serves every
//! Admission and Enforce above it.
//!
//! # What it does
//!
//! 1. It reads the request once ([`Call`](tower_qwen_tokens::Call)): model, prompt, and the most
//!    the answer may have.
//! 2. The call waits at the account of its origin and model, and of the
//!    [`AccountId`](tower_qwen_tokens::AccountId) in its extensions, in the order of arrival. A retried
//!    call keeps its first place.
//! 3. Just before the send, the estimated tokens are charged ([`Cost`](crate::Cost) says how they
//!    are estimated).
//! 4. The Meter's report corrects the charge.
//!
//! A throttle returns the tokens, closes the account for all its calls and lowers the rate that it
//! names; a hint of the provider (`Retry-After`) closes the account until then. The [crate
//! docs](crate#defaults) list the numbers. A throttled response has a
//! [`PacedUntil`](tower_qwen_tokens::PacedUntil) in its extensions, every error response its
//! [`Verdict`](tower_qwen_tokens::Verdict).
//!
//! An answer that says that a window of the account's plan is used up (five hours, a day, a week, a month)
//! closes the account until that ends. Calls are rejected meanwhile with
//! [`RejectKind::PlanUsedUp`](crate::RejectKind::PlanUsedUp) and the end in
//! [`Rejected::until`](crate::Rejected::until); a Retry above gives them to a fallback at once. One call is let
//! through every 30 minutes ([`plan_probe_interval`](crate::LimiterBuilder::plan_probe_interval)), and opens
//! the account if it is accepted. At the stated end one call goes first, then all.
//!
//! A transport error that shows that the provider has never worked on the call returns the whole charge: no
//! connection came about, or HTTP/2 says so (`REFUSED_STREAM`, a GOAWAY below the stream; feature `h2-0-4`).
//!
//! How long the call waited here, all attempts together, is in its [`CallReport`](tower_qwen_tokens::CallReport), which is in the
//! extensions of every answer.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};
//! use tower_qwen_tokens::{Ledger, MeterLayer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let limiter = Limiter::new(Quota::per_minute(800, 800_000));
//! let client = ServiceBuilder::new()
//!     .layer(AdmissionLayer::new(limiter.clone()))
//!     .layer(MeterLayer::new(Ledger::default()))
//!     // In place of an HTTP client.
//!     .service(service_fn(|_: Request<Full<Bytes>>| async {
//!         let answer = r#"{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":30,"total_tokens":42}}"#;
//!         let response = Response::builder().header("content-type", "application/json");
//!         response.body(Full::<Bytes>::from(answer))
//!     }));
//!
//! let request = Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
//!     .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#))?;
//! let response = client.oneshot(request).await?;
//! response.into_body().collect().await?;
//!
//! let account = &limiter.snapshot()[0];
//! assert_eq!(account.key.model(), "qwen-plus");
//! assert_eq!((account.in_flight, account.settled_tokens), (0, 42));
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! - [`Rejected`](crate::Rejected) if a call is rejected before anything is sent;
//! - [`ReadError`](tower_qwen_tokens::call::ReadError) if its body cannot be read;
//! - the inner service's own error.
//!
//! All of them come as [`BoxError`](crate::BoxError); use `downcast`.
//!
//! # Backpressure
//!
//! `poll_ready` is always ready, since it cannot know what a call costs. The wait for quota, and
//! then for the inner service's readiness, happens in the future.
//!
//! # Cancel safety
//!
//! Dropped while it waits, the call leaves the queue, and an Enforce above returns its tokens. Dropped before the send, its charge is
//! returned. Dropped after that, the estimate stays charged until the Meter's report.
//!
//! # Clone
//!
//! Clones, and services of the same layer, share the limiter's accounts.

mod answer_kind;
mod body;
mod future;
mod layer;
mod service;
mod settings;

pub use answer_kind::AnswerKind;
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::AdmissionLayer;
pub use service::Admission;
