//! The same stack over every client and router, and among the layers of tower-http.

mod compression;
mod limit;
mod matrix;
mod support;
mod timeout;
mod trace;
mod transports;
