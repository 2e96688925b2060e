//! The gateway before a provider in the same process, in paused time; on sockets where sockets matter, and
//! as the program that is built where the whole of it matters.

mod aborts;
mod calls;
mod compressed;
mod headers;
mod limits;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod program;
mod reports;
mod secrets;
mod sockets;
mod support;
mod upstream;
