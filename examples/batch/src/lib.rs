//! Runs a file of calls through the stack: the parts of the program, for its tests. See `README.md`.
//!
//! `cargo run --release -p batch` needs neither a key nor a file: it answers its bundled prompts from a mock of the provider.

pub mod account_list;
pub mod advice;
pub mod app;
pub mod args;
pub mod assemble;
pub mod base_url;
pub mod call;
pub mod caps;
pub mod carried;
pub mod concurrency;
pub mod counts;
pub mod dry_run;
pub mod end_rules;
pub mod ending;
pub mod exit;
pub mod failure;
pub mod failures;
pub mod fatal;
pub mod first_calls;
pub mod fleet;
pub mod flight;
pub mod hold_up;
pub mod ids;
pub mod input;
pub mod last_failure;
pub mod model_quotas;
pub mod news;
pub mod output;
pub mod pace;
pub mod paths;
pub mod progress;
pub mod provider;
pub mod quota_source;
pub mod reading;
pub mod request;
pub mod run;
pub mod signals;
pub mod stack;
pub mod stop;
pub mod submit;
pub mod summary;
pub mod table;
pub mod tally;
pub mod whole;
pub mod words;

pub use app::execute;
pub use args::Args;
pub use exit::{Exit, Failure};
pub use provider::Environment;
pub use signals::{STOPPING, STOPPING_JOBS, listen};
pub use stop::stop;
