//! All settings of the server.

mod batches;
mod plan;

use std::time::Duration;

pub use self::batches::{BatchFaults, Batches};
pub use self::plan::{Plan, PlanWindow};
use crate::host::Host;

/// All settings. Take [`Config::default`] and change what matters.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Whom the server answers like. Default: [`Host::DashScope`].
    pub host: Host,
    /// Requests per window. Default: 800.
    pub rpm: u64,
    /// Tokens per window, prompt and output together. Default: 800,000.
    pub tpm: u64,
    /// Length of the quota window. Default: 60 s.
    pub window: Duration,
    /// How the window is enforced. Default: [`Enforce::Sliding`].
    pub enforce: Enforce,
    /// When tokens count. Default: [`Charge::End`].
    pub charge: Charge,
    /// Whether a sixtieth of each quota is also enforced over a sixtieth of the window. A call
    /// larger than that is admitted when its slice is empty. Default: false.
    pub per_second: bool,
    /// What a slice allows, as a multiple of a sixtieth of the quota, rounded down, but at
    /// least 1. Default: 2.
    pub slice_burst: f64,
    /// Whether sudden growth is punished, though the quotas have room. Default: `None`, it is not.
    pub growth: Option<Growth>,
    /// Calls at once. Default: `None`, as many as come.
    pub concurrency: Option<u64>,
    /// A plan's window beside the quotas. Default: `None`.
    pub plan: Option<Plan>,
    /// Whether a plan's host answers coding agents only, which it knows by their `User-Agent`. Default: false.
    pub agents_only: bool,
    /// Which header a 429 carries. Default: [`RetryAfter::None`], as nobody saw one of DashScope: what the host sends.
    pub retry_after: RetryAfter,
    /// Which headers tell what is left of the quotas. Default: [`RateLimitHeaders::None`], as
    /// nobody saw one of DashScope: what the host sends.
    pub rate_limit_headers: RateLimitHeaders,
    /// The models that `GET /v1/models` and `GET /api/v1/quotas` list, each with the limits of the
    /// account. Default: `qwen-plus`.
    pub quota_models: Vec<String>,
    /// The models that calls may name. Default: [`Models::Any`].
    pub models: Models,
    /// What `GET /api/v1/quotas` answers. Default: [`QuotaList::Open`].
    pub quota_list: QuotaList,
    /// The most that the model writes, and the ceiling where a request names none.
    /// Default: 32,768, as of qwen-plus.
    pub max_output: u64,
    /// Mean length of an answer in tokens; each prompt has its own length, from a quarter of
    /// this to twice this. Default: 160.
    pub output_tokens: u64,
    /// Tokens in one event of a stream. Default: 4.
    pub chunk_tokens: u64,
    /// Time to the first token. Default: 50 ms.
    pub ttft: Duration,
    /// Time per output token. Default: 2 ms.
    pub tpot: Duration,
    /// Largest deviation of both times, as a share; each prompt has its own. Default: 0.
    pub jitter: f64,
    /// Share of the prompt that is reported as cached. Default: 0.
    pub cached_share: f64,
    /// Share of an answer that is thoughts, at its beginning. Default: 0.
    pub thought_share: f64,
    /// Whether a call needs a bearer key (or `x-api-key`), of the plan's kind for a plan. Default: false.
    pub require_key: bool,
    /// Seed of answers, ids and faults. Default: 0.
    pub seed: u64,
    /// What goes wrong, and how often. Default: nothing.
    pub faults: Faults,
    /// The Batch API.
    pub batches: Batches,
}

/// The models that a server has.
#[derive(Debug, Clone, Default)]
pub enum Models {
    /// Whatever a call names.
    #[default]
    Any,
    /// Those of this list.
    Listed(Vec<String>),
    /// Those of which this is true.
    Those(fn(&str) -> bool),
}

impl Models {
    pub(crate) fn has(&self, model: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(models) => models.iter().any(|known| known == model),
            Self::Those(has) => has(model),
        }
    }
}

impl PartialEq for Models {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Listed(one), Self::Listed(other)) => one == other,
            (Self::Those(one), Self::Those(other)) => std::ptr::fn_addr_eq(*one, *other),
            _ => false,
        }
    }
}

/// How a window is enforced. A call is refused when what is used plus its charge at the start
/// is above the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforce {
    /// A log of every charge; one counts until exactly a window after its date.
    #[default]
    Sliding,
    /// Windows in a row, the first from the start of the server.
    Fixed,
    /// A bucket that holds the quota, starts full, and refills by the quota in a window. A
    /// charge at the end of a call may leave it in debt.
    Bucket,
}

/// When the tokens of a call count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charge {
    /// Prompt and true output, both at the start.
    Start,
    /// The prompt at the start; the output when the answer ends, or breaks off.
    #[default]
    End,
    /// Prompt and declared ceiling (else [`Config::max_output`]) at the start. When the answer
    /// ends or breaks off, that charge is corrected to the true usage and keeps its date.
    Estimate,
}

/// Which header of a 429 tells the time until the call would fit, if no other came. A call that
/// never fits gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// None.
    #[default]
    None,
    /// `retry-after`, in seconds, rounded up.
    Seconds,
    /// `retry-after-ms`, in milliseconds, rounded up.
    Milliseconds,
    /// `retry-after`, an HTTP date, rounded up to a whole second.
    Date,
}

/// Punishes sudden growth: a period lets in as many requests as `factor` times the recent rate,
/// rounded down, and `floor` more.
///
/// Periods follow each other from the start of the server. The recent rate is what was let in per
/// period, each period with half the weight of the next: a period without a call halves it, so
/// after a pause a client has to start slowly again. From nothing, the default lets in 5, 10, 17,
/// 28, 44 requests in a row of seconds, half as many again in each from then on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// How many times the recent rate is no growth. At least 1. Default: 2.
    pub factor: f64,
    /// Over what time requests are counted. Default: 1 s.
    pub period: Duration,
    /// Requests that a period lets in whatever the recent rate is. At least 1. Default: 5.
    pub floor: u64,
}

/// What becomes of a request for the list of the account's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuotaList {
    /// It is answered.
    #[default]
    Open,
    /// 403: the key may call models and nothing else.
    Forbidden,
    /// 404, as of a host without such a list.
    Missing,
}

/// Which headers of a success and of a 429 tell what the quotas of a window allow. Those are
/// `x-ratelimit-limit-*`, `-remaining-*` and `-reset-*`, each for requests and for tokens, as the
/// account stands when the answer begins. A reset is the time until nothing is used, if no other
/// call came. They say nothing of slices and of growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RateLimitHeaders {
    /// None.
    #[default]
    None,
    /// As OpenAI: a reset such as `120ms`, `1.5s` or `6m0s`, to the millisecond, rounded up.
    OpenAi,
    /// As Groq: a reset such as `577.5ms`, `7.66s` or `2m59.56s`, to the microsecond, rounded up.
    /// A 429 also has `retry-after` in seconds, unless [`Config::retry_after`] names a header.
    /// Other than Groq's, the figures of requests are those of the window and not of the day.
    Groq,
}

/// Probability of each fault. A call has at most one, so their sum should not be above 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// 503 for want of capacity. Nothing is charged.
    pub unavailable: f64,
    /// The connection breaks: in the middle of a stream, which is charged as far as it came, or
    /// of a whole answer, which is charged in full.
    pub reset: f64,
    /// An error event inside a stream, as the first event or halfway. Calls that do not stream
    /// have none.
    pub stream_error: f64,
    /// The answer says nothing about usage.
    pub no_usage: f64,
    /// 500 for want of capacity: only the body tells that it is a throttle. Nothing is charged.
    pub throttle_500: f64,
    /// A throttle in a JSON body of status 200. Nothing is charged.
    pub error_200: f64,
    /// A throttle in a JSON body of status 200 that is called an event stream. Calls that do not
    /// stream have none. Nothing is charged.
    pub bare_json: f64,
    /// A stream that ends halfway as if it were whole, without an error and without its last
    /// events. It is charged as far as it came. Calls that do not stream have none.
    pub cut: f64,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            factor: 2.0,
            period: Duration::from_secs(1),
            floor: 5,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: Host::default(),
            rpm: 800,
            tpm: 800_000,
            window: Duration::from_secs(60),
            enforce: Enforce::default(),
            charge: Charge::default(),
            per_second: false,
            slice_burst: 2.0,
            growth: None,
            concurrency: None,
            plan: None,
            agents_only: false,
            retry_after: RetryAfter::default(),
            rate_limit_headers: RateLimitHeaders::default(),
            models: Models::Any,
            quota_models: vec!["qwen-plus".to_owned()],
            quota_list: QuotaList::default(),
            max_output: 32_768,
            output_tokens: 160,
            chunk_tokens: 4,
            ttft: Duration::from_millis(50),
            tpot: Duration::from_millis(2),
            jitter: 0.0,
            cached_share: 0.0,
            thought_share: 0.0,
            require_key: false,
            seed: 0,
            faults: Faults::default(),
            batches: Batches::default(),
        }
    }
}
