//! reqwest below, around and beside our stacks, over real sockets of this machine.

#![cfg(feature = "reqwest-middleware-0-5")]

mod attempts;
mod fits;
mod front;
mod middleware;
mod own_retries;
mod support;
mod transport;
