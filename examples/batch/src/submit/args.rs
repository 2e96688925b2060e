//! The part of the command line that is about jobs.

use std::time::Duration;

use clap::Args;

use super::Limits;
use crate::args::duration;

/// How the input goes through the provider's Batch API.
#[derive(Debug, Clone, Args)]
pub struct SubmitArgs {
    /// Submit the calls as jobs of the provider's Batch API, for half the price: upload, create, poll, download, merge. The
    /// same command goes on with jobs that were submitted before.
    // These are of calls that this program makes itself.
    #[arg(long, conflicts_with_all = [
        "stream", "rpm", "tpm", "quota", "redis", "concurrency", "max_failures", "report", "accounts", "api_key_env", "batch_host",
    ])]
    pub submit: bool,

    /// Cancel the jobs that are under way, and take what they have answered.
    #[arg(long, requires = "submit", conflicts_with = "dry_run")]
    pub cancel: bool,

    /// The time within which the provider has to end a job: `24h` to `336h`, or `1d` to `14d`. What it has not answered by
    /// then is free.
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "submit", value_parser = window)]
    pub completion_window: String,

    /// The most lines of a job.
    #[arg(long, value_name = "N", default_value_t = Limits::LINES, requires = "submit", value_parser = clap::value_parser!(u64).range(1..))]
    pub job_lines: u64,

    /// The most bytes of a job's file.
    #[arg(long, value_name = "N", default_value_t = Limits::BYTES, requires = "submit", value_parser = clap::value_parser!(u64).range(1..))]
    pub job_bytes: u64,

    /// The most jobs at one time.
    #[arg(long, value_name = "N", default_value_t = 100, requires = "submit", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_jobs: u64,

    /// The most prompt tokens, as estimated, that the jobs of a model may have in the provider's queue. Default: no limit, as
    /// Model Studio names none; a provider that has one is tried again after it refused.
    #[arg(long, value_name = "N", requires = "submit", value_parser = clap::value_parser!(u64).range(1..))]
    pub enqueued_tokens: Option<u64>,

    /// The time from one look at the jobs to the next. It grows by half each time that nothing has changed, up to ten times
    /// this. Default: 60s, as Model Studio asks for; 1s with the built-in provider.
    #[arg(long, value_name = "TIME", requires = "submit", value_parser = duration)]
    pub poll_interval: Option<Duration>,
}

impl SubmitArgs {
    /// What a job may have.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            lines: self.job_lines,
            bytes: self.job_bytes,
            tokens: self.enqueued_tokens,
            ..Limits::default()
        }
    }
}

/// Reads `24h` or `2d`.
fn window(text: &str) -> Result<String, String> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h').unwrap_or_default(), 1),
    };
    let number: Option<u32> = number.parse().ok();
    let hours = number.and_then(|number| number.checked_mul(hours));
    match hours {
        Some(24..=336) => Ok(text.to_owned()),
        _ => Err("a window is 24h to 336h, or 1d to 14d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_day_to_a_fortnight() {
        for good in ["24h", "336h", "1d", "14d"] {
            assert_eq!(window(good).as_deref(), Ok(good));
        }
        for wrong in [
            "",
            "h",
            "24",
            "23h",
            "337h",
            "0d",
            "15d",
            "-1d",
            "1.5d",
            "4000000000d",
        ] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
