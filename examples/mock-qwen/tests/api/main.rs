//! The server as its clients see it, in paused time.

mod charges;
mod compatible;
mod faults;
mod growth;
mod limits;
mod native;
mod quotas;
mod rate_limit_headers;
mod refusals;
mod retry_after;
mod running;
mod stats;
mod support;
