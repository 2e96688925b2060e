//! A fleet over a real server. Time is real here, so only counts and orders are asserted.

mod booking;
mod cluster;
mod conformance;
mod lease;
mod outage;
mod server;
mod support;
mod usage;
