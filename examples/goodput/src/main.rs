//! Runs the study:
//!
//! ```sh
//! cargo run --release -p goodput                                   # against other clients, by the clock
//! cargo run --release -p goodput -- --cases                        # our stack, with time paused
//! cargo run --release -p goodput -- --case known-both --windows
//! cargo run --release -p goodput -- --cases --write                # the same, and into docs/performance.md
//! cargo run --release -p goodput -- --write
//! ```

mod comparison;
mod document;
mod study;

use std::process::ExitCode;

use clap::Parser;
use goodput::args::Args;

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.cases || !args.case.is_empty() {
        return study::run(&args);
    }
    comparison::run(&args)?;
    Ok(ExitCode::SUCCESS)
}
