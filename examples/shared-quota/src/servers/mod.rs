//! Servers that share the quotas and the budgets of their callers, and a storm of calls at them.
//!
//! | | |
//! |---|---|
//! | `run` | starts everything, kills servers, takes the store away, and counts in the end |
//! | `process` | a server as the program that starts it sees it |
//! | `server` | the server itself: Enforce > Meter > provider |
//! | `provider` | the provider, which notes whose calls reach it |
//! | `storm` | the calls |
//! | `client`, `headers`, `cpu` | what several of them need |
//! | `tenants` | what each tenant may do, and whose a call is |
//! | `windows`, `ledgers`, `figures` | what came of it |

mod args;
mod client;
mod cpu;
mod figures;
mod headers;
mod ledgers;
mod process;
mod provider;
mod run;
mod server;
mod storm;
mod tenants;
mod windows;

pub(crate) use args::{ServerArgs, ServersArgs};
pub(crate) use run::run;
pub(crate) use server::serve;
