//! Our stacks in clients that do not speak `http`'s types, or own the call themselves.
//!
//! Each module, and the feature that brings it, is named after the foreign major, so that a new one is a new module.
//! hyper-util's client, axum's router and whatever else is a `Service<http::Request<B>>` need none of them.
//!
//! Whole programs for each client, and the orders that work among the layers of tower-http, are in `docs/stacks.md` of the
//! repository.

#[cfg(feature = "reqwest-0-13")]
pub mod reqwest_0_13;
#[cfg(feature = "reqwest-middleware-0-5")]
pub mod reqwest_middleware_0_5;
