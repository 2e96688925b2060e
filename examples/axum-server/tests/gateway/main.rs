//! The gateway before a provider in the same process, in paused time; on sockets where sockets matter, and
//! as the program that is built where the whole of it matters.

mod aborts;
mod admin;
#[cfg(unix)]
mod attacks;
mod budgets;
mod calls;
mod compressed;
mod config;
mod grafana;
mod headers;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod http2;
#[cfg(unix)]
mod invented_models;
mod limits;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod lost_logs;
#[cfg(unix)]
mod metrics;
#[cfg(all(unix, feature = "otlp"))]
mod otlp;
#[cfg(unix)]
mod page;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod program;
#[cfg(unix)]
mod program_config;
#[cfg(unix)]
mod raw;
mod reload;
mod reports;
mod secrets;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod slow;
mod sockets;
mod support;
mod upstream;
mod upstreams;
mod waits;
