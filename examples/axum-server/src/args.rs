//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use tower_qwen_ratelimit::Quota;

use crate::{callers::Secret, target::Target};

/// A gateway in front of Qwen: limits its callers per API key, meters, prices, keeps a ledger, and streams end to end.
///
/// Without `--upstream` a mock of the provider runs inside the process.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
pub struct Args {
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

    /// The longest that a call waits for the upstream's quota before it is refused.
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

    /// Requests that each caller has in a window.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub rpm: u64,

    /// Tokens, prompt and answer together, that each caller has in a window.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub tpm: u64,

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

    /// How long a call may wait and be retried in all, until its answer begins.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub deadline: Duration,

    /// Appends every call to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,

    /// How long calls under way may go on when the server is told to stop.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub grace: Duration,

    /// Leaves all layers of tower-qwen out: what they cost is measured against this.
    #[arg(long)]
    pub bare: bool,
}

impl Args {
    /// What each caller is granted.
    pub fn callers_quota(&self) -> Quota {
        Quota::per_minute(self.rpm, self.tpm).window(self.window)
    }

    /// What the upstream grants per model.
    pub fn upstream_quota(&self) -> Quota {
        // Far beyond any host, and still no overflow: throttles slow it down all the same.
        const ANY: u64 = 1 << 40;
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

/// Reads a number of seconds, fractions allowed.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(short) if short < Duration::from_millis(1) => Err("must be at least 0.001".to_owned()),
        Ok(long) if long > Duration::from_secs(86_400) => Err("must be at most a day".to_owned()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("must be at least 0.001".to_owned()),
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
