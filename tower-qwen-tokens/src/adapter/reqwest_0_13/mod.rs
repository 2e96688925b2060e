//! reqwest 0.13 below a stack, or on both sides of it (feature `reqwest-0-13`).
//!
//! [`ReqwestTransport`] is a `reqwest::Client` as the transport of a stack: its requests are `http`'s, their bodies
//! reqwest's. [`ReqwestFrontLayer`] is the way back, outermost: the whole stack is called with what
//! `reqwest::RequestBuilder::build` gives, and answers as reqwest does (`json`, `url`, `bytes_stream`).
//!
//! ```
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_qwen_tokens::{
//!     Ledger, MeterLayer,
//!     adapter::reqwest_0_13::{ReqwestFrontLayer, ReqwestTransport},
//!     call::BoxError,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let transport = ReqwestTransport::build(reqwest::Client::builder())?;
//! let requests = transport.get_ref().clone();
//! let mut client = ServiceBuilder::new()
//!     .layer(ReqwestFrontLayer)
//!     .layer(MeterLayer::new(Ledger::default()))
//!     .service(transport);
//!
//! let request = requests.post("http://127.0.0.1:1/compatible-mode/v1/chat/completions").body("{}").build()?;
//! let error = client.ready().await?.call(request).await.unwrap_err();
//! assert!(error.is_connect());
//! # Ok(())
//! # }
//! ```
//!
//! # What is kept
//!
//! Bodies stream both ways and are never collected here. A request's own timeout and what else reqwest keeps in its
//! extensions travel with it, in every attempt; so does the answer's address of the peer. The answer's URL (after
//! redirects, without a fragment) travels in its extensions; an answer that a layer made up has the URL of the request.
//! Errors are reqwest's own, with `is_connect` and its kin. A request must have an absolute URI.
//!
//! # Retries of its own
//!
//! A client repeats what a server of HTTP/2 refused to process, unseen by Admission.
//! [`ReqwestTransport::build`] switches that off (`reqwest::retry::never`); for a client that exists already,
//! [`ReqwestTransport::new`], whoever built it has to.
//!
//! tower-qwen-retry tells reqwest's timeouts and broken connections from its permanent errors with its feature
//! `reqwest-0-13`.
//!
//! # Why not `tower-reqwest`
//!
//! That crate's `HttpClientService` is the same transport, but its answers forget their URL, and the errors of its inner
//! service must be reqwest's, which those of reqwest-middleware are not.
//!
//! # Errors
//!
//! Those of the inner service; and a `reqwest::Error`, with nothing sent, where a request cannot be translated, such as one
//! without an absolute URI.
//!
//! # Backpressure
//!
//! The inner service's readiness is passed on. A `reqwest::Client` is always ready.
//!
//! # Cancel safety
//!
//! Dropping a future drops the inner one; nothing else is held.

mod answer;
mod front;
mod transport;

pub(super) use answer::into_reqwest;
pub use front::{FrontFuture, ReqwestFront, ReqwestFrontLayer};
pub use transport::{ReqwestTransport, TransportFuture};
