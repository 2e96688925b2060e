//! reqwest 0.13 below a stack, or on both sides of it (feature `reqwest-0-13`).
//!
//! [`ReqwestTransport`] is a `reqwest::Client` as the transport of a stack: it takes `http`'s
//! requests with reqwest's bodies. [`ReqwestFrontLayer`] is the outermost layer and does the
//! opposite: the whole stack takes what `reqwest::RequestBuilder::build` returns, and answers as
//! reqwest does (`json`, `url`, `bytes_stream`).
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
//! # What is preserved
//!
//! Bodies stream both ways and are never collected here. A request's own timeout, and whatever else
//! reqwest stores in its extensions, is sent with every attempt; an answer keeps the address of its
//! peer. The answer's URL (after redirects, without a fragment) is in its extensions; an answer
//! that a layer made up has the URL of the request. Errors are reqwest's own, with `is_connect` and
//! the like. A request must have an absolute URI.
//!
//! # A deadline or a tenant for a call
//!
//! [`WithExtension::with_extension`] puts what the layers read into a request of reqwest's.
//!
//! # reqwest's own retries
//!
//! A client repeats a request that an HTTP/2 server refused to process, and Admission does not see
//! it. [`ReqwestTransport::build`] switches that off (`reqwest::retry::never`). For
//! [`ReqwestTransport::new`] switch it off where you build the client.
//!
//! tower-qwen-retry tells reqwest's timeouts and broken connections from its permanent errors with
//! its feature `reqwest-0-13`.
//!
//! # Why not `tower-reqwest`
//!
//! That crate's `HttpClientService` is the same transport, but its answers lose their URL, and the
//! errors of its inner service must be reqwest's, which those of reqwest-middleware are not.
//!
//! # Errors
//!
//! Those of the inner service; and a `reqwest::Error`, with nothing sent, if a request cannot be
//! converted, such as one without an absolute URI.
//!
//! # Backpressure
//!
//! The service is ready when the inner one is. A `reqwest::Client` is always ready.
//!
//! # Cancel safety
//!
//! Dropping a future drops the inner one. It holds nothing else.

mod answer;
mod call;
mod front;
mod transport;
mod with_extension;

pub(super) use answer::into_reqwest;
pub use front::{FrontFuture, ReqwestFront, ReqwestFrontLayer};
pub use transport::{ReqwestTransport, TransportFuture};
pub use with_extension::WithExtension;
