//! The gateway before a provider in the same process, in paused time; on sockets where sockets matter.

mod aborts;
mod calls;
mod headers;
mod limits;
mod reports;
mod secrets;
mod sockets;
mod support;
mod upstream;
