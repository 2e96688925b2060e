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
//! Retry, Admission and Meter of this project work here, alone, together, or split among several
//! middlewares. So does any other layer that accepts an inner service which borrows. Two kinds of
//! layers do not: those that require `'static` of the inner service (tower's `Buffer` does not
//! compile), and those that store their state in the service instead of the layer, since every
//! request gets a new service (tower's `RateLimit` would limit nothing).
//!
//! # What is preserved
//!
//! All that [`reqwest_0_13`](super::reqwest_0_13) preserves, and the middlewares' extensions. The
//! request's extensions get a copy of them, so that `with_extension(Deadline::after(..))`, a
//! [`Tenant`](crate::ledger::Tenant) or [`Labels`](crate::ledger::Labels) reach our layers. What
//! layers put into those of the answer ([`CallReport`](crate::CallReport), a [`Verdict`](crate::Verdict)) is in
//! `reqwest::Response::extensions`. The middlewares below see the same extensions in every attempt;
//! their changes reach later attempts and the middlewares above. If attempts overlap, the last to
//! finish counts.
//!
//! # Errors
//!
//! reqwest's errors and those of the middlewares below do not change. An error of the stack itself
//! becomes [`Error::Middleware`](reqwest_middleware::Error::Middleware) around a [`LayerError`],
//! whose source it is:
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
//! A client of reqwest-middleware is always ready. The call awaits the readiness of the stack.
//!
//! # Cancel safety
//!
//! As of the stack. A call that is dropped does not change the extensions.

mod error;
mod middleware;
mod next;

pub use error::LayerError;
pub use middleware::{Answer, TowerMiddleware};
pub use next::NextService;
