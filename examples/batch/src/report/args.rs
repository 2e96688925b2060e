//! The part of the command line that is about the report.

use std::path::PathBuf;

use clap::Args;

/// Where the report goes.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Also write a report to look at: one HTML file with charts of the quota, the waits, the tokens and the cost, without a
    /// script. It is written when the run ends, stopped or not, and holds no prompt, no answer and no key.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}
