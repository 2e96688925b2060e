//! Classifies each answer once, for all layers.
//!
//! The status of an error answer does not show its cause; the body does. The first of our layers
//! that gets an error answer reads the beginning of its body, puts a [`Verdict`](crate::Verdict)
//! into the answer's extensions and returns the answer with the whole body. The layers further out
//! use that verdict.
//!
//! A stream may also begin with an error, after a status of 200. A layer that can handle it, such
//! as Retry, requests the first event by [`ClassifyOptions`] in the request's extensions. Then the
//! innermost layer outside of the Meter holds the answer back until that event has come, and its
//! verdict is that of an error answer. The same goes for a body of JSON with a status of 200
//! ([`ClassifyOptions::json_errors`]).
//!
//! ```
//! use std::time::Duration;
//!
//! use http::Request;
//! use tower_qwen_tokens::{
//!     Cause, Verdict,
//!     classify::{ClassifyOptions, FirstEvent},
//! };
//!
//! // Waits up to two seconds for the first event, and never repeats a call that was rejected for its content.
//! let options = ClassifyOptions::default()
//!     .first_event(FirstEvent::within(Duration::from_secs(2)))
//!     .rule(|verdict, _headers| {
//!         let is_moderation = verdict.cause() == Cause::ContentFilter;
//!         is_moderation.then(|| Verdict::of_cause(Cause::InvalidRequest))
//!     });
//! let request = Request::post("https://host.example/v1/chat/completions").extension(options);
//! # let _ = request.body(());
//! ```

pub(crate) mod future;
mod json_head;
pub(crate) mod options;
mod reading;

pub(crate) use future::{Classify, classify};
pub use options::{ClassifyOptions, FirstEvent};
