//! What the command line may say.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use tower_qwen_ratelimit::{Pacing, Quota};

use crate::{
    accounts::AccountArgs,
    caps::Caps,
    input::{InputArgs, without_packing},
    report::ReportArgs,
    submit::SubmitArgs,
};

/// Runs a file of calls (the batch JSONL of OpenAI and Model Studio) through the stack: waits for the quota, retries,
/// meters and prices. A stopped run goes on where it was when run again.
///
/// Half the price, the same calls, slower: `--batch-host` (keys of Beijing).
///
/// The key comes from `DASHSCOPE_API_KEY`. An address alone is enough: calls then go out without a key. With neither,
/// `--input` is an error unless `--mock` or `--dry-run` is given.
///
/// Without `--input` the 240 bundled prompts go to the built-in provider, whose answers are invented, whatever key is set:
/// nothing is spent. `--bundled` sends them to a real one.
///
/// Exit status: 0 all done, 1 some failed, 2 bad usage (no provider for `--input` included), 3 no call can succeed (key,
/// account, model or address), 4 the cap of cost or tokens is reached, 130 stopped. After 1, 3, 4 and 130 the same command
/// goes on where it was.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Args {
    /// Calls to make, or prompts: a file, `-` for the standard input, or a pattern such as `'calls-*.jsonl'`. Plain, `.gz` or
    /// `.zst`. Default: a bundled set of 240 prompts, answered by the built-in provider.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// Where the answers go; what it already answers is not called again. Default: INPUT with the extension
    /// `output.jsonl`, or `mock-output.jsonl` with `--mock` (after that of a table or a text); for the bundled set
    /// `batch-mock-output.jsonl`, or `batch-output.jsonl` with `--bundled`. Several files and the standard input have no
    /// default. Each line names its provider, and answers of another one are not taken up. A name in `.parquet` is written
    /// when the run ends, of the lines in the same name with `.jsonl`, and needs a build with `--features parquet`.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What the input is.
    #[command(flatten)]
    pub input_args: InputArgs,

    /// Address of the provider. Default: `DASHSCOPE_BASE_URL`, else DashScope in Beijing.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,

    /// Which accounts share the calls.
    #[command(flatten)]
    pub account_args: AccountArgs,

    /// Send the calls to a provider built into this program. Its answers are invented and cost nothing.
    /// `DASHSCOPE_API_KEY` and `DASHSCOPE_BASE_URL` are ignored.
    // It shares its quota with nobody: no other process knows its port.
    #[arg(long, conflicts_with_all = ["base_url", "redis"])]
    pub mock: bool,

    /// The model of every call, in place of what its line says.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Where the quota of each model is from. With `--rpm` or `--tpm` it is `told`, unless `at-least` is given.
    #[arg(long, value_enum, default_value_t = QuotaArg::Auto)]
    pub quota: QuotaArg,

    /// Requests that the provider allows for each model in a window. Where only `--tpm` is given: 800.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rpm: Option<u64>,

    /// Tokens, prompt and answer together, that the provider allows for each model in a window. Where only `--rpm` is
    /// given: 800,000.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub tpm: Option<u64>,

    /// Length of the window of `--rpm` and `--tpm`, and of `discover` (`60s`, `1m`, `1500ms`).
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub window: Duration,

    /// Spread over the window, or as fast as the window allows.
    #[arg(long, value_enum, default_value_t = PacingArg::Smooth)]
    pub pacing: PacingArg,

    /// Share the quota with others through this Redis or Valkey server (`redis://host:port`).
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,

    /// Take parts of the rate beforehand, instead of asking that server for each call.
    #[arg(long, requires = "redis")]
    pub lease: bool,

    /// What happens to calls while that server cannot be reached.
    #[arg(long, value_enum, default_value_t = OutageArg::LocalShare)]
    pub outage: OutageArg,

    /// Calls held at once, waiting ones included. Default: the requests that the quotas of all models allow in 15
    /// seconds, at least 16 and at most 384; 256 where a quota is not known.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: Option<u32>,

    /// Attempts per call, the first included.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_attempts: u32,

    /// Time for one call, from when it begins to wait for quota, all waits and attempts included. With `--batch-host` the
    /// default is two hours, since a call waits there for up to one.
    #[arg(long, default_value = "30m", default_value_if("batch_host", "true", "2h"), value_parser = duration)]
    pub deadline: Duration,

    /// Ask for streams on the wire (chat, completions and the native generations); the output is the same.
    #[arg(long)]
    pub stream: bool,

    /// Also write the summary to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,

    /// What is shown of the run.
    #[command(flatten)]
    pub report_args: ReportArgs,

    /// Estimate tokens, cost and duration, and send no call. With `--quota auto` and a key the account's list of quotas is
    /// asked for, which costs nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Send the bundled prompts to the provider that key and address name. This costs money.
    #[arg(long, conflicts_with = "input")]
    pub bundled: bool,

    /// What the run may cost, and how often it may fail.
    #[command(flatten)]
    pub caps: Caps,

    /// Whether the calls are jobs of the Batch API, and how these are made.
    #[command(flatten)]
    pub submit: SubmitArgs,
}

/// What is known of the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuotaArg {
    /// The account's own list (`GET /api/v1/quotas`, at the address of the calls and nowhere else), else the built-in list
    /// for the region of the address, else as `discover`.
    Auto,
    /// `--rpm` and `--tpm`, never more.
    Told,
    /// It starts with `--rpm` and `--tpm`, and tries for more.
    AtLeast,
    /// Nothing is known. It starts with 60 requests and 60,000 tokens a minute, and finds out.
    Discover,
}

/// How the quota is spent within its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PacingArg {
    /// Evenly.
    Smooth,
    /// As fast as the window allows.
    Window,
}

/// What happens to calls while the store cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutageArg {
    /// Each process uses its part of the quota.
    LocalShare,
    /// Calls are sent without a limit.
    Unlimited,
    /// Calls are rejected.
    Reject,
}

impl Args {
    /// What is known of the quota: figures that are given are meant, whatever the default would be.
    #[must_use]
    pub fn quota_mode(&self) -> QuotaArg {
        match self.quota {
            QuotaArg::Auto | QuotaArg::Discover if self.rpm.or(self.tpm).is_some() => {
                QuotaArg::Told
            }
            mode => mode,
        }
    }

    /// The quota of `--rpm`, `--tpm` and `--window`. A figure that is missing is that of Qwen2's page.
    pub fn told_quota(&self) -> Quota {
        let default = Quota::qwen2();
        let requests = self.rpm.unwrap_or(default.requests());
        let tokens = self.tpm.unwrap_or(default.tokens());
        self.paced(Quota::per_minute(requests, tokens).window(self.window))
    }

    /// This quota, spent as `--pacing` says.
    pub fn paced(&self, quota: Quota) -> Quota {
        quota.pacing(match self.pacing {
            PacingArg::Smooth => Pacing::Smooth,
            PacingArg::Window => Pacing::Window,
        })
    }

    /// Where the answers go; empty where that has to be named, see [`Self::needs_output`].
    ///
    /// Answers of the mock have a default name that no real run takes up: real runs keep what their file answers.
    #[must_use]
    pub fn output(&self, against_mock: bool) -> PathBuf {
        match (&self.output, &self.input) {
            // A table is made of lines when the run ends, so these stand beside it.
            (Some(output), _) if self.parquet().is_some() => {
                let mut lines = output.clone().into_os_string();
                lines.push(".jsonl");
                lines.into()
            }
            (Some(output), _) => output.clone(),
            (None, Some(_)) if self.needs_output() => PathBuf::new(),
            // Not `against_mock`: a forecast without a provider is about the file of the real run.
            (None, Some(input)) if self.mock => beside(input, "mock-output.jsonl"),
            (None, Some(input)) => beside(input, "output.jsonl"),
            (None, None) if against_mock && !(self.bundled && self.dry_run && !self.mock) => {
                PathBuf::from("batch-mock-output.jsonl")
            }
            (None, None) => PathBuf::from("batch-output.jsonl"),
        }
    }

    /// The Parquet file that the answers go to, if they do.
    #[must_use]
    pub fn parquet(&self) -> Option<&Path> {
        let output = self.output.as_deref()?;
        let is_parquet = output
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        is_parquet.then_some(output)
    }

    /// Whether the answers have no place of their own: those of another standard input would be taken for theirs, and
    /// several files have no name in common.
    #[must_use]
    pub fn needs_output(&self) -> bool {
        let has_no_name = |input: &PathBuf| {
            let is_pattern = input.to_string_lossy().contains(['*', '?', '[']);
            input == Path::new("-") || is_pattern && !input.exists()
        };
        let has_several = !self.input_args.more.is_empty();
        self.output.is_none() && (has_several || self.input.as_ref().is_some_and(has_no_name))
    }
}

/// A file beside the input, with another extension, whatever that was packed with.
///
/// Tables and texts keep theirs: `calls.csv` and `calls.jsonl` may have ids in common that mean different calls.
fn beside(input: &Path, extension: &str) -> PathBuf {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let plain = without_packing(&name);
    let input = match plain == name {
        true => input.to_owned(),
        false => input.with_file_name(plain),
    };
    let is_named = |kind: &str| {
        input
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case(kind))
    };
    match ["csv", "tsv", "txt"].into_iter().any(is_named) {
        true => {
            let plain = input.file_name().unwrap_or_default().to_string_lossy();
            input.with_file_name(format!("{plain}.{extension}"))
        }
        false => input.with_extension(extension),
    }
}

/// Reads `1500ms`, `90s`, `2m`, `1h` or a bare number of seconds; fractions are allowed.
///
/// # Errors
///
/// What is no such text, or shorter than 1 ms, or too long, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        unit => return Err(format!("unknown unit `{unit}`: use ms, s, m or h")),
    };
    let number: f64 = digits
        .trim()
        .parse()
        .map_err(|_| "not a duration, such as 60s, 1500ms or 2m".to_owned())?;
    let duration = Duration::try_from_secs_f64(number * factor)
        .map_err(|_| "a duration is positive and not endless".to_owned())?;
    match duration {
        short if short < Duration::from_millis(1) => Err("must be at least 1 ms".to_owned()),
        long if long > Duration::from_secs(30 * 86_400) => {
            Err("must be at most 30 days".to_owned())
        }
        fit => Ok(fit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"batch").chain(line))
    }

    #[test]
    fn defaults_are_as_documented() -> Result<(), clap::Error> {
        let args = parse(&[])?;
        assert_eq!(args.quota_mode(), QuotaArg::Auto);
        assert_eq!(args.told_quota(), Quota::qwen2());
        assert_eq!(args.concurrency, None);
        assert_eq!(args.max_attempts, 5);
        assert_eq!(args.deadline, Duration::from_secs(1_800));
        let deadline = |line: &[&str]| parse(line).map(|args| args.deadline.as_secs());
        assert_eq!(deadline(&["--batch-host"])?, 7_200);
        assert_eq!(deadline(&["--batch-host", "--deadline", "5m"])?, 300);
        assert_eq!(args.output(true), PathBuf::from("batch-mock-output.jsonl"));
        assert_eq!(args.output(false), PathBuf::from("batch-output.jsonl"));
        assert!(!args.stream && !args.dry_run && !args.mock);
        Ok(())
    }

    #[test]
    fn figures_on_the_command_line_win() -> Result<(), clap::Error> {
        use QuotaArg::{AtLeast, Auto, Discover, Told};
        for (line, expected) in [
            (&[][..], Auto),
            (&["--quota", "auto"], Auto),
            (&["--quota", "told"], Told),
            (&["--quota", "discover"], Discover),
            (&["--rpm", "60"], Told),
            (&["--tpm", "60", "--quota", "auto"], Told),
            (&["--rpm", "60", "--quota", "discover"], Told),
            (&["--rpm", "60", "--quota", "at-least"], AtLeast),
        ] {
            assert_eq!(parse(line)?.quota_mode(), expected, "{line:?}");
        }
        let told = parse(&["--rpm", "60", "--window", "6s"])?.told_quota();
        let expected = Quota::per_minute(60, 800_000).window(Duration::from_secs(6));
        assert_eq!(told, expected);
        let pacing = parse(&["--pacing", "window"])?.told_quota();
        assert_eq!(pacing, Quota::qwen2().pacing(Pacing::Window));
        Ok(())
    }

    #[test]
    fn the_output_stands_beside_the_input() -> Result<(), clap::Error> {
        let args = parse(&["--input", "a/calls.jsonl"])?;
        assert_eq!(args.output(true), PathBuf::from("a/calls.output.jsonl"));
        let args = parse(&["--input", "a/calls.jsonl", "--mock"])?;
        let mock_output = PathBuf::from("a/calls.mock-output.jsonl");
        assert_eq!(args.output(true), mock_output);
        let args = parse(&["--input", "a/calls.csv.zst"])?;
        assert_eq!(
            args.output(false),
            PathBuf::from("a/calls.csv.output.jsonl")
        );
        for name in ["a/calls.jsonl.gz", "a/calls.gz", "a/calls"] {
            let args = parse(&["--input", name])?;
            assert_eq!(args.output(false), PathBuf::from("a/calls.output.jsonl"));
        }
        for line in [
            &["--input", "-"][..],
            &["--input", "a/*.jsonl"],
            &["--input", "a", "b"],
        ] {
            let args = parse(line)?;
            assert!(args.needs_output() && args.output(false).as_os_str().is_empty());
        }
        for line in [
            &["--input", "a/calls.jsonl", "--output", "b"][..],
            &["--input", "a/calls.jsonl", "--mock", "--output", "b"],
        ] {
            assert_eq!(parse(line)?.output(false), PathBuf::from("b"));
        }
        Ok(())
    }

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("60s", 60_000),
            ("1500ms", 1_500),
            ("1m", 60_000),
            ("1.5h", 5_400_000),
            ("7", 7_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "", "s", "-1s", "0s", "1d", "nan", "inf", "1e30h", "0.1ms", "9999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_bad_usage() {
        for line in [
            &["--rpm", "0"][..],
            &["--tpm", "-1"],
            &["--pacing", "wild"],
            &["--concurrency", "0"],
            &["--max-attempts", "0"],
            &["--window", "0s"],
            &["--lease"],
            &["--redis", "redis://h", "--outage", "maybe"],
            &["--mock", "--base-url", "http://h"],
            &["--mock", "--redis", "redis://h"],
            &["stray"],
            &["--prompt-field", "text"],
            &["--system", "text"],
            &["--input-format", "csv"],
            &["--input", "a", "--input-format", "xml"],
            &["--sample", "0"],
            &["--shard", "0/4"],
            &["--param", "temperature"],
            &["--param", "model=m"],
        ] {
            let error = parse(line).expect_err("refused");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
        for line in ["--help", "--version"] {
            assert_eq!(parse(&[line]).expect_err("told").exit_code(), 0);
        }
    }
}
