//! The server as its clients see it, in paused time.

mod charges;
mod compatible;
mod faults;
mod native;
mod quotas;
mod refusals;
mod retry_after;
mod stats;
mod support;
