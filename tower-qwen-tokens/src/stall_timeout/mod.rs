//! Ends an answer whose body stalls.
//!
//! A provider that stops in the middle of a stream leaves its caller waiting for ever: the headers
//! came in time, so no timeout of the call applies. With this layer the body fails with [`Stalled`]
//! after some time without a frame.
//!
//! # Where in the stack
//!
//! Innermost, around the transport and inside the Meter, which then reports the attempt as
//! [`End::Failed`](crate::End::Failed), its tokens counted from what was delivered. It is a layer
//! of its own because the Meter keeps the body's error type, while this one must add an error: its
//! bodies fail with [`BoxError`](crate::call::BoxError), to be downcast to [`Stalled`] or to the
//! inner body's error.
//!
//! The wait for the headers is not limited, nor is the whole: only the wait for each frame, the
//! first included. Comments that keep a connection alive are frames too. A model that thinks before
//! its first word may well be silent for a minute.
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use futures::{StreamExt, stream};
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full, StreamBody};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_qwen_tokens::{
//!     Ledger, MeterLayer,
//!     stall_timeout::{StallTimeoutLayer, Stalled},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let transport = service_fn(|_: Request<Full<Bytes>>| async {
//!     let frames = stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
//!     Ok::<_, std::io::Error>(Response::new(StreamBody::new(frames)))
//! });
//! let client = ServiceBuilder::new()
//!     .layer(MeterLayer::new(Ledger::default()))
//!     .layer(StallTimeoutLayer::new(Duration::from_secs(90)))
//!     .service(transport);
//! let answer = client.oneshot(Request::post("https://host.example/v1/chat/completions").body(Full::default())?).await?;
//! let error = answer.into_body().collect().await.unwrap_err();
//! assert!(error.is::<Stalled>());
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! The call's are those of the inner service. The body's are boxed: [`Stalled`], after which the
//! body has ended, or those of the inner body.
//!
//! # Backpressure
//!
//! The service is ready when the inner one is. The time counts only while the caller polls for a
//! frame, so that a slow reader is not cut off.
//!
//! # Cancel safety
//!
//! Dropping the future or the body drops the inner one. They hold nothing else.
//!
//! # Clone
//!
//! Nothing is shared between clones.

mod body;
mod future;
mod layer;
mod service;

pub use body::{ResponseBody, Stalled};
pub use future::ResponseFuture;
pub use layer::StallTimeoutLayer;
pub use service::StallTimeout;
