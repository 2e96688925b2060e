//! reqwest below, around and beside our stacks, over real sockets of this machine.

#![cfg(feature = "reqwest-middleware-0-5")]

mod accepted_layers;
mod attempts;
mod front;
mod middleware;
mod reqwest_retries;
mod support;
mod transport;
mod with_extension;
