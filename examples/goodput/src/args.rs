//! What the command line may say.

use clap::Parser;

/// How much of a quota is used, how often the provider throttles, and how long calls wait.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Runs all cases with time paused, but those that take long.
    #[arg(long)]
    pub cases: bool,

    /// Runs these cases with time paused: names, or beginnings of names.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub case: Vec<String>,

    /// Seeds of each case; the table has their medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// Also prints the share used in each window.
    #[arg(long)]
    pub windows: bool,
}
