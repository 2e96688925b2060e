//! The server as its clients see it, in paused time.

mod batches;
mod charges;
mod choices;
mod compatible;
mod endpoints;
mod faults;
mod growth;
mod host_errors;
mod host_streams;
mod limits;
mod native;
mod plans;
mod quotas;
mod rate_limit_headers;
mod refusals;
mod retry_after;
mod running;
mod stats;
mod support;
mod tools;
