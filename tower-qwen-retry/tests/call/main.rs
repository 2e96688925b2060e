//! What one call may go through beyond plain retries: streams, other targets, other retriers, and everything at random.

mod fallbacks;
mod markers;
mod observers;
mod report;
mod schedules;
mod streams;
#[path = "../support/mod.rs"]
mod support;
