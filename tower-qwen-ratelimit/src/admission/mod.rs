//! Waits for quota before each attempt, and settles after it: the client's side.
//!
//! # Where in the stack
//!
//! Inside `Retry`, since the provider counts attempts; outside an attempt timeout, so that queueing never looks like a
//! slow server; outside `Meter`, from which it learns what the attempt cost. Without a Meter below, the estimate of every
//! call stands. One Meter serves every Admission and Enforce above it.
//!
//! # What it does
//!
//! The request is read once ([`Call`](tower_qwen_tokens::Call)). The call waits for its turn at the account of its origin
//! and model, in the order of arrival; a retried call keeps its first place. Just before it is sent the estimate is
//! charged, and the Meter's report corrects it. A throttle gives the tokens back, closes the account for everybody and
//! slows the gate it names; a hint of the provider (`Retry-After`) closes the account until then. Such an answer carries
//! [`PacedUntil`](tower_qwen_tokens::PacedUntil) in its extensions, every error answer its [`Verdict`](tower_qwen_tokens::Verdict).
//!
//! # Errors
//!
//! [`Rejected`](crate::Rejected) when a call is refused before anything is sent; a
//! [`ReadError`](tower_qwen_tokens::call::ReadError) when its body cannot be read; otherwise the inner service's own
//! error. All of them come as [`BoxError`](crate::BoxError), to be downcast.
//!
//! # Backpressure
//!
//! `poll_ready` is always ready, since it cannot know what a call costs. The wait, and the inner service's readiness
//! after it, happen in the future.
//!
//! # Cancel safety
//!
//! Dropped while waiting, the call leaves the queue; dropped before it is sent, its charge comes back; dropped after
//! that, the estimate stands until the Meter's report.

mod answer_kind;
mod body;
mod future;
mod layer;
mod service;

pub use answer_kind::AnswerKind;
pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use layer::AdmissionLayer;
pub use service::Admission;
