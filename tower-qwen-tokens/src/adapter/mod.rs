//! Our layers in clients that have other types than those of `http`, or that run the call
//! themselves.
//!
//! Each module and its feature are named after the client's major version, so that a new version
//! becomes a new module. hyper-util's client, axum's router and every other
//! `Service<http::Request<B>>` need no adapter.
//!
//! Whole programs for each client, and the orders that work among the layers of tower-http, are in
//! `docs/stacks.md` of the repository.

#[cfg(feature = "reqwest-0-13")]
pub mod reqwest_0_13;
#[cfg(feature = "reqwest-middleware-0-5")]
pub mod reqwest_middleware_0_5;
