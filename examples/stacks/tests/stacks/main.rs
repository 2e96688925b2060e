//! The same stack over every client and router, and among the layers of tower-http.

mod budget;
mod compressed_requests;
mod compression;
mod concurrency;
mod hosts;
mod limit;
mod matrix;
mod middleware;
mod order;
mod peers;
mod plan;
mod report;
mod support;
mod targets;
mod teams;
mod timeout;
mod trace;
mod transports;
