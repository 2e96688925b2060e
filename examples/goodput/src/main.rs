//! Runs the study:
//!
//! ```sh
//! cargo run --release -p goodput                                   # against other clients, by the clock
//! cargo run --release -p goodput -- --cases                        # our stack, with time paused
//! cargo run --release -p goodput -- --case known-both --windows
//! cargo run --release -p goodput -- --cases --write                # the same, and into docs/performance.md
//! cargo run --release -p goodput -- --write
//! cargo run --release -p goodput -- --bare                         # the chart of a bare client and ours
//! ```

mod comparison;
mod document;
mod study;

use std::fs;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use goodput::args::Args;
use goodput::{bare, bare_chart};

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.bare {
        let path = args.docs.join("goodput-bare.svg");
        fs::write(&path, bare_chart::chart(&bare::run()))
            .with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{} is drawn.", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    if args.cases || !args.case.is_empty() {
        return study::run(&args);
    }
    comparison::run(&args)?;
    Ok(ExitCode::SUCCESS)
}
