//! A stack as a middleware of reqwest-middleware 0.5 (feature `reqwest-middleware-0-5`).
//!
//! ```
//! use reqwest_middleware::ClientBuilder;
//! use tower::ServiceBuilder;
//! use tower_qwen_tokens::{Ledger, MeterLayer, adapter::reqwest_middleware_0_5::TowerMiddleware};
//!
//! # fn main() -> reqwest::Result<()> {
//! let stack = ServiceBuilder::new().layer(MeterLayer::new(Ledger::default())).into_inner();
//! let client = reqwest::Client::builder().retry(reqwest::retry::never()).build()?;
//! let client = ClientBuilder::new(client).with(TowerMiddleware::new(stack)).build();
//! # let _ = client;
//! # Ok(())
//! # }
//! ```
//!
//! Retry, Admission and Meter of this project fit, alone, together, or split among several middlewares. So does any other
//! layer that lays itself around a service which borrows: one that asks its inner service for `'static` does not, nor does
//! one that keeps its state in the service instead of the layer, since there is a new service for every request (tower's
//! `RateLimit` would limit nothing, its `Buffer` does not compile).
//!
//! # What is kept
//!
//! What [`reqwest_0_13`](super::reqwest_0_13) keeps, and the middlewares' extensions. What is in them at the call stands in
//! the request's extensions too, so that `with_extension(Deadline::after(..))`, a
//! [`Tenant`](crate::ledger::Tenant) or [`Labels`](crate::ledger::Labels) reach our layers; what layers put into the
//! answer's (`Attempts`, a [`Verdict`](crate::Verdict)) is in `reqwest::Response::extensions`. The middlewares below see
//! the same extensions in every attempt, and what they change there is seen by later attempts and by the middlewares
//! above; where attempts overlap, the last to finish counts.
//!
//! # Errors
//!
//! reqwest's errors and those of the middlewares below stay what they are. An error of the stack itself becomes
//! [`Error::Middleware`](reqwest_middleware::Error::Middleware) around a [`LayerError`], whose source it is:
//!
//! ```
//! use reqwest_middleware::Error;
//! use tower_qwen_tokens::{adapter::reqwest_middleware_0_5::LayerError, context_window::ContextWindowExceeded};
//!
//! fn exceeded(error: &Error) -> Option<&ContextWindowExceeded> {
//!     match error {
//!         Error::Middleware(error) => error.downcast_ref::<LayerError>()?.downcast_ref(),
//!         Error::Reqwest(_) => None,
//!     }
//! }
//! ```
//!
//! # Backpressure
//!
//! A client of reqwest-middleware is always ready. The stack's readiness is awaited inside of the call.
//!
//! # Cancel safety
//!
//! That of the stack. A call that is dropped leaves the extensions as they were.

mod error;
mod middleware;
mod next;

pub use error::LayerError;
pub use middleware::{Answer, TowerMiddleware};
pub use next::NextService;
