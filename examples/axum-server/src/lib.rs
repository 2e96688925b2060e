//! A gateway in front of Qwen: the parts of the program, for its tests. See `README.md`.

pub mod allow_list;
pub mod args;
pub mod auth;
pub mod callers;
pub mod client;
pub mod errors;
pub mod forward;
pub mod gateway;
pub mod headers;
pub mod metrics;
pub mod mock;
pub mod path;
pub mod router;
pub mod serve;
pub mod start;
pub mod target;
pub mod usage;

pub use args::Args;
pub use gateway::Gateway;
pub use start::start;
