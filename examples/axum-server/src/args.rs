//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use http::HeaderName;
use tower_qwen_ratelimit::Quota;

use crate::{
    api_key::Secret,
    config::ANY,
    cors::CorsOrigin,
    limits::{Limits, seconds, seconds_or_none},
    target::Target,
};

/// A gateway in front of Qwen: limits its callers per API key, meters, prices, keeps a ledger, and streams end to end.
///
/// Without `--upstream` a mock of the provider runs inside the process.
#[derive(Debug, Clone, Parser)]
#[command(version, args_override_self = true)]
pub struct Args {
    /// The configuration, TOML. What it says goes before what stands here. Read again on SIGHUP and `POST /admin/reload`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Checks the configuration and ends: with 0 where it is sound, else with 2 and a line for each problem.
    #[arg(long)]
    pub check: bool,

    /// Where callers and groups lie that the admin API adds: hashes of keys, no keys. Without it they end with the process.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,

    /// The provider or model server behind: its address, with the path that its OpenAI-compatible API stands under.
    #[arg(long, value_name = "URL", env = "DASHSCOPE_BASE_URL")]
    pub upstream: Option<Target>,

    /// The key for the upstream. Better in the environment than on the command line, which others can read.
    #[arg(
        long,
        value_name = "KEY",
        env = "DASHSCOPE_API_KEY",
        hide_env_values = true
    )]
    pub upstream_key: Option<Secret>,

    /// Requests that the upstream allows a minute, per model. Default: no limit; the mock has 800.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub upstream_rpm: Option<u64>,

    /// Tokens that the upstream allows a minute, per model. Default: no limit; the mock has 800,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub upstream_tpm: Option<u64>,

    /// The longest that a call waits for the upstream, before and between its attempts together, before it is refused.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub max_wait: Duration,

    /// A caller and its key. Can be given many times. Better in a file than on the command line.
    #[arg(long = "key", value_name = "NAME=KEY")]
    pub keys: Vec<Secret>,

    /// A file of callers and keys: a line `NAME=KEY` for each; `#` begins a comment.
    #[arg(long = "keys", value_name = "FILE")]
    pub keys_file: Option<PathBuf>,

    /// The key that may read the usage of all callers, and the metrics.
    #[arg(
        long,
        value_name = "KEY",
        env = "AXUM_SERVER_ADMIN_KEY",
        hide_env_values = true
    )]
    pub admin_key: Option<Secret>,

    /// Requests that each caller has in a window. Default: 60; with a configuration no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rpm: Option<u64>,

    /// Tokens, prompt and answer together, that each caller has in a window. Default: 100,000; with a configuration no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub tpm: Option<u64>,

    /// The window of the callers' quotas.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub window: Duration,

    /// Refuses compressed requests instead of decoding them (gzip, zstd, br).
    #[arg(long)]
    pub no_decompression: bool,

    /// The longest body of a request, in bytes, decoded where it is compressed.
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    pub max_body: usize,

    /// The longest wait for the beginning of an answer, per attempt.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub timeout: Duration,

    /// The longest silence inside an answer.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub stall: Duration,

    /// How long a call may wait and be retried in all, until its answer begins. The last attempt is cut then.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub deadline: Duration,

    /// Appends every call to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// Bounds of time, memory and number.
    #[command(flatten)]
    pub limits: Limits,

    /// The certificates to answer with, in PEM, the server's own first. Read again on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The key of the server's certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A page of this origin may call from a browser; `*` for any. Can be given many times.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    pub cors_origins: Vec<CorsOrigin>,

    /// A header of callers that is passed on beside those that are on the list. Can be given many times.
    #[arg(long = "pass-header", value_name = "NAME")]
    pub pass_headers: Vec<HeaderName>,

    /// How lines of the log are written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// How long it goes on answering when it is told to stop, while `/readyz` says that it will: others must notice.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds_or_none)]
    pub drain: Duration,

    /// How long calls under way may go on after that. A second signal ends it.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub grace: Duration,

    /// Leaves all layers of tower-qwen out: what they cost is measured against this.
    #[arg(long)]
    pub bare: bool,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people; coloured where a terminal shows them.
    #[default]
    Text,
    /// For programs: an object each.
    Json,
}

impl Args {
    /// What each caller is granted of which nothing else is said.
    pub fn callers_quota(&self) -> Quota {
        let (rpm, tpm) = match &self.config {
            Some(_) => (u64::MAX, u64::MAX),
            None => (60, 100_000),
        };
        Quota::per_minute(self.rpm.unwrap_or(rpm), self.tpm.unwrap_or(tpm)).window(self.window)
    }

    /// What the upstream grants per model.
    pub fn upstream_quota(&self) -> Quota {
        let (rpm, tpm) = match &self.upstream {
            Some(_) => (ANY, ANY),
            None => (Quota::qwen2().requests(), Quota::qwen2().tokens()),
        };
        Quota::per_minute(
            self.upstream_rpm.unwrap_or(rpm),
            self.upstream_tpm.unwrap_or(tpm),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"axum-server").chain(line))
    }

    #[test]
    fn keys_are_never_shown() {
        let line = [
            "--key",
            "acme=sk-secret-1",
            "--upstream-key",
            "sk-secret-2",
            "--admin-key",
            "sk-secret-3",
        ];
        let args = parse(&line).expect("good usage");
        assert!(!format!("{args:?}").contains("secret"), "{args:?}");
        let args = parse(&["--key", "sk-secret-without-a-name"]).expect("looked at later");
        let bad = args.keys[0].caller().expect_err("no name");
        assert!(!bad.to_string().contains("secret"), "{bad}");
    }

    #[test]
    fn the_mocks_quota_is_known_and_that_of_others_is_what_is_said() {
        let quota = |line: &[&str]| {
            let quota = parse(line).expect("good usage").upstream_quota();
            assert_eq!(quota.check(), Ok(()));
            (quota.requests(), quota.tokens())
        };
        assert_eq!(quota(&[]), (800, 800_000));
        let upstream = ["--upstream", "http://host", "--upstream-rpm", "7"];
        assert_eq!(quota(&upstream), (7, 1 << 40));
    }

    #[test]
    fn callers_have_no_limit_beside_a_configuration() {
        let quota = |line: &[&str]| {
            let quota = parse(line).expect("good usage").callers_quota();
            (quota.requests(), quota.tokens())
        };
        assert_eq!(quota(&[]), (60, 100_000));
        assert_eq!(quota(&["--rpm", "7"]), (7, 100_000));
        assert_eq!(quota(&["--config", "file"]), (u64::MAX, u64::MAX));
        assert_eq!(quota(&["--config", "file", "--tpm", "7"]), (u64::MAX, 7));
    }

    #[test]
    fn what_makes_no_sense_is_bad_usage() {
        for line in [
            ["--rpm", "0"],
            ["--window", "0"],
            ["--grace", "-1"],
            ["--deadline", "nan"],
            ["--stall", "1e9"],
            ["--upstream", "host"],
        ] {
            assert!(parse(&line).is_err(), "{line:?}");
        }
    }
}
