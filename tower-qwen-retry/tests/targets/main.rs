//! Calls that have several targets, one after the other through one layer.

#[path = "../support/mod.rs"]
mod support;

mod after_wait;
mod cool_down;
mod pool;
mod provider;
mod report;
