//! The command line.

mod batches;
mod choice;
mod duration;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use mock_qwen::{Config, Faults, Growth, Host, Models, Plan};

use self::batches::BatchArgs;
use self::choice::{
    ChargeArg, EnforceArg, PlanWindowArg, QuotaListArg, RateLimitHeadersArg, RetryAfterArg,
};
use self::duration::duration;

/// A server that behaves as the Qwen API does.
#[derive(Debug, Parser)]
#[command(version, group = ArgGroup::new("plan_limit").multiple(true))]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Whom to answer like
    #[arg(long, default_value = "dashscope", value_parser = str::parse::<Host>)]
    host: Host,
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
    /// Refuse a rate that rises too quickly, though the quotas have room
    #[arg(long)]
    growth: bool,
    /// How many times the recent rate is no growth, at least 1
    #[arg(long, value_name = "TIMES", default_value_t = 2.0, value_parser = factor, requires = "growth")]
    growth_factor: f64,
    /// Over what time the rate is counted
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration, requires = "growth")]
    growth_period: Duration,
    /// Requests that a period lets in whatever the recent rate is, at least 1
    #[arg(long, value_name = "REQUESTS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..), requires = "growth")]
    growth_floor: u64,
    /// Calls at once; without it as many as come
    #[arg(long, value_name = "CALLS")]
    concurrency: Option<u64>,
    /// A plan's window beside the quotas
    #[arg(long, value_enum, value_name = "WINDOW", requires = "plan_limit")]
    plan_window: Option<PlanWindowArg>,
    /// Tokens of the plan's window
    #[arg(
        long,
        value_name = "TOKENS",
        requires = "plan_window",
        group = "plan_limit"
    )]
    plan_tokens: Option<u64>,
    /// Requests of the plan's window
    #[arg(
        long,
        value_name = "REQUESTS",
        requires = "plan_window",
        group = "plan_limit"
    )]
    plan_requests: Option<u64>,
    /// Do not say when the plan's window ends, where the host may leave it out
    #[arg(long, requires = "plan_window")]
    plan_unstated: bool,
    /// Probability that a call is let in although the plan's window is used up
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share, requires = "plan_window")]
    plan_flap: f64,
    /// Refuse clients of the coding plan that are no coding agents
    #[arg(long)]
    agents_only: bool,
    /// The header of a 429 that tells when to come back
    #[arg(long, value_enum, default_value = "none")]
    retry_after: RetryAfterArg,
    /// The headers of a success and of a 429 that tell what is left of the quotas
    #[arg(long, value_enum, default_value = "none")]
    ratelimit_headers: RateLimitHeadersArg,
    /// The models that `GET /v1/models` and `GET /api/v1/quotas` list, separated by commas
    #[arg(
        long,
        value_name = "MODELS",
        default_value = "qwen-plus",
        value_delimiter = ','
    )]
    quotas: Vec<String>,
    /// The models that calls may name, separated by commas; others are 404. Without it any model is answered
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    models: Vec<String>,
    /// What `GET /api/v1/quotas` answers: the list, 403, or 404
    #[arg(long, value_enum, default_value = "open")]
    quota_list: QuotaListArg,
    /// The most that the model writes, in tokens
    #[arg(long, default_value_t = 32_768)]
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
    /// Share of an answer that is thoughts, at its beginning
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    thought_share: f64,
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
    /// Probability of a 500 whose body tells of a throttle
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_500: f64,
    /// Probability of a throttle in a JSON body of status 200
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_200: f64,
    /// Probability that a stream is a throttle as bare JSON, with status 200
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_bare_json: f64,
    /// Probability that a stream ends halfway as if it were whole
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_cut: f64,
    #[command(flatten)]
    batches: BatchArgs,
}

impl Args {
    pub(crate) fn config(&self) -> Config {
        Config {
            host: self.host,
            rpm: self.rpm,
            tpm: self.tpm,
            window: self.window,
            enforce: self.enforce.into(),
            charge: self.charge.into(),
            per_second: self.per_second,
            slice_burst: self.slice_burst,
            growth: self.growth.then_some(Growth {
                factor: self.growth_factor,
                period: self.growth_period,
                floor: self.growth_floor,
            }),
            concurrency: self.concurrency,
            plan: self.plan_window.map(|window| Plan {
                window: window.into(),
                tokens: self.plan_tokens,
                requests: self.plan_requests,
                states_reset: !self.plan_unstated,
                flap: self.plan_flap,
            }),
            agents_only: self.agents_only,
            retry_after: self.retry_after.into(),
            rate_limit_headers: self.ratelimit_headers.into(),
            quota_models: self.quotas.clone(),
            models: match self.models.as_slice() {
                [] => Models::Any,
                listed => Models::Listed(listed.to_vec()),
            },
            quota_list: self.quota_list.into(),
            max_output: self.max_output,
            output_tokens: self.output_tokens,
            chunk_tokens: self.chunk_tokens,
            ttft: self.ttft,
            tpot: self.tpot,
            jitter: self.jitter,
            cached_share: self.cached_share,
            thought_share: self.thought_share,
            require_key: self.require_key,
            seed: self.seed,
            faults: Faults {
                unavailable: self.fault_503,
                reset: self.fault_reset,
                stream_error: self.fault_stream_error,
                no_usage: self.fault_no_usage,
                throttle_500: self.fault_500,
                error_200: self.fault_200,
                bare_json: self.fault_bare_json,
                cut: self.fault_cut,
            },
            batches: self.batches.config(),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (1.0..=f64::MAX).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use mock_qwen::{PlanWindow, QuotaList, RateLimitHeaders};

    use super::*;

    #[test]
    fn no_flags_are_the_default_settings() {
        let args = Args::try_parse_from(["mock-qwen"]).expect("valid");
        assert_eq!(args.config(), Config::default());
    }

    #[test]
    fn every_flag_of_feedback_sets_its_setting() {
        let flags = "--per-second --slice-burst 1.5 --growth --growth-factor 3 --growth-period \
                     500ms --growth-floor 8 --ratelimit-headers groq --quotas a,b --quota-list forbidden \
                     --fault-500 0.25";
        let args = Args::try_parse_from(["mock-qwen"].into_iter().chain(flags.split(' ')));
        let expected = Config {
            per_second: true,
            slice_burst: 1.5,
            growth: Some(Growth {
                factor: 3.0,
                period: Duration::from_millis(500),
                floor: 8,
            }),
            rate_limit_headers: RateLimitHeaders::Groq,
            quota_models: vec!["a".to_owned(), "b".to_owned()],
            quota_list: QuotaList::Forbidden,
            faults: Faults {
                throttle_500: 0.25,
                ..Faults::default()
            },
            ..Config::default()
        };
        assert_eq!(args.expect("valid").config(), expected);
    }

    #[test]
    fn growth_alone_has_its_defaults_and_headers_their_names() {
        let config = |flags: &[&str]| {
            let args = ["mock-qwen"].iter().chain(flags);
            Args::try_parse_from(args).expect("valid").config()
        };
        assert_eq!(config(&["--growth"]).growth, Some(Growth::default()));
        for (name, expected) in [
            ("none", RateLimitHeaders::None),
            ("openai", RateLimitHeaders::OpenAi),
            ("groq", RateLimitHeaders::Groq),
        ] {
            let headers = config(&["--ratelimit-headers", name]).rate_limit_headers;
            assert_eq!(headers, expected);
        }
    }

    #[test]
    fn every_flag_of_a_host_sets_its_setting() {
        let flags = "--host coding-plan --plan-window 5h --plan-tokens 1000 --plan-requests 9 \
                     --plan-unstated --plan-flap 0.5 --agents-only --concurrency 3 \
                     --thought-share 0.5 --fault-200 0.1 --fault-bare-json 0.2 --fault-cut 0.3";
        let args = Args::try_parse_from(["mock-qwen"].into_iter().chain(flags.split(' ')));
        let expected = Config {
            host: Host::CodingPlan,
            concurrency: Some(3),
            plan: Some(Plan {
                window: PlanWindow::FiveHours,
                tokens: Some(1_000),
                requests: Some(9),
                states_reset: false,
                flap: 0.5,
            }),
            agents_only: true,
            thought_share: 0.5,
            faults: Faults {
                error_200: 0.1,
                bare_json: 0.2,
                cut: 0.3,
                ..Faults::default()
            },
            ..Config::default()
        };
        assert_eq!(args.expect("valid").config(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--growth-factor 3",
            "--growth-period 1s",
            "--growth-floor 8",
            "--growth --growth-factor 0.5",
            "--growth --growth-factor inf",
            "--growth --growth-period 5",
            "--growth --growth-floor 0",
            "--ratelimit-headers azure",
            "--fault-500 2",
            "--host azure",
            "--plan-window 5h",
            "--plan-tokens 5",
            "--plan-window year --plan-tokens 5",
            "--plan-unstated",
        ] {
            let args = ["mock-qwen"].into_iter().chain(wrong.split(' '));
            assert!(Args::try_parse_from(args).is_err(), "{wrong}");
        }
    }

    #[test]
    fn models_are_any_or_those_of_the_list() {
        let args = Args::try_parse_from(["mock-qwen", "--models", "a,b"]).expect("valid");
        let listed = Models::Listed(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(args.config().models, listed);
    }

    #[test]
    fn shares_are_between_nothing_and_all() {
        assert_eq!(share("0.5"), Ok(0.5));
        for wrong in ["-0.1", "1.1", "NaN", "half"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
