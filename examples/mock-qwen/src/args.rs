//! The command line.

mod duration;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use mock_qwen::{Charge, Config, Enforce, Faults, RetryAfter};

use self::duration::duration;

/// A server that behaves as the Qwen API does.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Requests per window
    #[arg(long, default_value_t = 800)]
    rpm: u64,
    /// Tokens per window
    #[arg(long, default_value_t = 800_000)]
    tpm: u64,
    /// Length of the quota window
    #[arg(long, default_value = "60s", value_parser = duration)]
    window: Duration,
    /// How the window is enforced
    #[arg(long, value_enum, default_value = "sliding")]
    enforce: EnforceArg,
    /// When tokens count
    #[arg(long, value_enum, default_value = "end")]
    charge: ChargeArg,
    /// Also enforce a sixtieth of each quota over a sixtieth of the window
    #[arg(long)]
    per_second: bool,
    /// What a slice allows, as a multiple of that sixtieth
    #[arg(long, default_value_t = 2.0)]
    slice_burst: f64,
    /// The header of a 429 that tells when to come back
    #[arg(long, value_enum, default_value = "none")]
    retry_after: RetryAfterArg,
    /// The most that the model writes, in tokens
    #[arg(long, default_value_t = 8_192)]
    max_output: u64,
    /// Mean length of an answer, in tokens
    #[arg(long, value_name = "MEAN", default_value_t = 160)]
    output_tokens: u64,
    /// Tokens in one event of a stream
    #[arg(long, default_value_t = 4)]
    chunk_tokens: u64,
    /// Time to the first token
    #[arg(long, default_value = "50ms", value_parser = duration)]
    ttft: Duration,
    /// Time per output token
    #[arg(long, default_value = "2ms", value_parser = duration)]
    tpot: Duration,
    /// Largest deviation of both times, as a share
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    jitter: f64,
    /// Share of the prompt that is reported as cached
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    cached_share: f64,
    /// Refuse calls without a bearer key
    #[arg(long)]
    require_key: bool,
    /// Seed of answers, ids and faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Probability of a 503 for want of capacity
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_503: f64,
    /// Probability that the connection breaks
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_reset: f64,
    /// Probability of an error event inside a stream
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_stream_error: f64,
    /// Probability that the answer says nothing about usage
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_no_usage: f64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EnforceArg {
    Sliding,
    Fixed,
    Bucket,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChargeArg {
    Start,
    End,
    Estimate,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RetryAfterArg {
    None,
    Secs,
    Ms,
    Date,
}

impl Args {
    pub(crate) fn config(&self) -> Config {
        Config {
            rpm: self.rpm,
            tpm: self.tpm,
            window: self.window,
            enforce: match self.enforce {
                EnforceArg::Sliding => Enforce::Sliding,
                EnforceArg::Fixed => Enforce::Fixed,
                EnforceArg::Bucket => Enforce::Bucket,
            },
            charge: match self.charge {
                ChargeArg::Start => Charge::Start,
                ChargeArg::End => Charge::End,
                ChargeArg::Estimate => Charge::Estimate,
            },
            per_second: self.per_second,
            slice_burst: self.slice_burst,
            retry_after: match self.retry_after {
                RetryAfterArg::None => RetryAfter::None,
                RetryAfterArg::Secs => RetryAfter::Seconds,
                RetryAfterArg::Ms => RetryAfter::Milliseconds,
                RetryAfterArg::Date => RetryAfter::Date,
            },
            max_output: self.max_output,
            output_tokens: self.output_tokens,
            chunk_tokens: self.chunk_tokens,
            ttft: self.ttft,
            tpot: self.tpot,
            jitter: self.jitter,
            cached_share: self.cached_share,
            require_key: self.require_key,
            seed: self.seed,
            faults: Faults {
                unavailable: self.fault_503,
                reset: self.fault_reset,
                stream_error: self.fault_stream_error,
                no_usage: self.fault_no_usage,
            },
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flags_are_the_default_settings() {
        let args = Args::try_parse_from(["mock-qwen"]).expect("valid");
        assert_eq!(args.config(), Config::default());
    }

    #[test]
    fn shares_are_between_nothing_and_all() {
        assert_eq!(share("0.5"), Ok(0.5));
        for wrong in ["-0.1", "1.1", "NaN", "half"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
