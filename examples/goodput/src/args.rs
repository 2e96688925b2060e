//! What the command line may say.

use std::path::PathBuf;

use clap::Parser;

/// How much of a quota is used, how often the provider throttles, and how long calls wait.
///
/// Without `--cases` and `--case`: compares our stack with other clients by the clock, over sockets, and draws the charts.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Runs all cases of our stack with time paused, but those that take long.
    #[arg(long)]
    pub cases: bool,

    /// Runs these cases with time paused: names, or beginnings of names.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub case: Vec<String>,

    /// Draws `goodput-bare.svg`: a client that only tries again beside our stack, minute by minute, with time paused.
    #[arg(long, conflicts_with_all = ["cases", "case", "only", "openai_python", "write"])]
    pub bare: bool,

    /// Seeds of each case or run; the table has their medians. Default: 5 with time paused, 3 by the clock.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: Option<u64>,

    /// Also prints the share used in each window. With time paused.
    #[arg(long)]
    pub windows: bool,

    /// Also runs the cases with exponential backoff and nothing else, and prints how many fewer throttles ours has.
    #[arg(long, requires = "case")]
    pub backoff: bool,

    /// Seconds that a minute takes by the clock.
    #[arg(long, default_value_t = 3.0, value_parser = minute)]
    pub minute: f64,

    /// Compares in these scenarios only: names, or beginnings of names. Charts with other scenarios are not drawn.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub only: Vec<String>,

    /// Compares with openai-python too, where `python3` has the package. It keeps a processor busy: take one seed and a longer minute.
    #[arg(long)]
    pub openai_python: bool,

    /// Also replaces the tables of these figures in `performance.md` of the folder `docs`. Of all cases, or of all scenarios.
    #[arg(long, conflicts_with_all = ["case", "only", "windows"])]
    pub write: bool,

    /// Where the charts go, and where `performance.md` is. Default: the folder `docs` of the workspace.
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))]
    pub docs: PathBuf,
}

impl Args {
    /// The document whose tables `write` replaces.
    #[must_use]
    pub fn document(&self) -> PathBuf {
        self.docs.join("performance.md")
    }
}

fn minute(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    // Timers have a millisecond: below a second, even a sixtieth of a window is lost in it.
    if (1.0..=60.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 1 to 60".to_owned())
    }
}
