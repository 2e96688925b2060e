//! The gateway before a provider in the same process, in paused time; on sockets where sockets matter, and
//! once as the program that is built.

mod aborts;
mod calls;
mod headers;
mod limits;
#[cfg(unix)]
mod program;
mod reports;
mod secrets;
mod sockets;
mod support;
mod upstream;
