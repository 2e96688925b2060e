//! `--submit`: the input as jobs of the provider's Batch API.
//!
//! `plan` reads the input and writes the files of the jobs, by the law of `split`. `drive` takes each job from step to step by
//! way of `api`, and notes every step in `state` before it and after it. `merge` reads the results into the output.

mod api;
mod api_error;
mod args;
mod cap;
mod collect;
mod drive;
mod folder;
mod forecast;
mod limits;
mod lines;
mod merge;
mod plan;
mod poll;
mod predict;
mod progress;
mod split;
mod start;
mod state;
mod summary;
mod upload;
mod wire;

pub use args::SubmitArgs;
pub use limits::Limits;
pub use split::{Group, Load, Size, Splitter, TooLarge};
pub use start::{check_no_jobs, execute};
