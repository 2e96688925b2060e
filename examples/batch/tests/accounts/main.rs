//! Several accounts, by the built program: each a server of its own, which notes whose key it gets.

#[path = "../support/mod.rs"]
mod support;

mod batch_host;
mod ends;
mod paused;
mod provider;
mod share;
mod wrong;
