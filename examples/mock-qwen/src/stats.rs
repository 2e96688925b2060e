//! What `GET /stats` tells.

use serde::{Deserialize, Serialize};

/// What the server has seen.
///
/// `seen = accepted + throttled + faults.unavailable + faults.throttle_500 + faults.error_200 +
/// faults.bare_json + rejected`, and `accepted = in_flight + completed + aborted + faults.reset +
/// faults.stream_error + faults.cut`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that arrived.
    pub seen: u64,
    /// Calls that passed the quotas.
    pub accepted: u64,
    /// Accepted calls that are not over.
    pub in_flight: u64,
    /// Accepted calls that were answered to the end.
    pub completed: u64,
    /// Accepted calls that the client left.
    pub aborted: u64,
    /// Calls refused for what they were: 400, 401, 405 and 413.
    pub rejected: u64,
    /// Calls refused by a quota, by a plan, or for growth.
    pub throttled: Throttled,
    /// Calls that had a fault.
    pub faults: FaultCounts,
    /// What completed calls used.
    pub tokens: TokenSums,
    /// What calls used that were left or broke.
    pub unfinished: TokenSums,
    /// How much of the quotas was used.
    pub utilisation: Utilisation,
    /// Files and jobs of the Batch API. Their lines are not among the calls above.
    #[serde(default)]
    pub batches: BatchStats,
}

/// What the Batch API has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BatchStats {
    /// Files that were uploaded.
    pub files_uploaded: u64,
    /// Files that were deleted, of uploads and of results.
    pub files_deleted: u64,
    /// Jobs that were created.
    pub jobs_created: u64,
    /// Creations that were throttled.
    pub creations_throttled: u64,
    /// Jobs that came to their end.
    pub jobs_completed: u64,
    /// Jobs that failed their validation.
    pub jobs_failed: u64,
    /// Jobs that did not end within their window.
    pub jobs_expired: u64,
    /// Jobs that were cancelled.
    pub jobs_cancelled: u64,
    /// Lines that were answered.
    pub lines_completed: u64,
    /// Lines that were not.
    pub lines_failed: u64,
    /// What the answered lines used. Each token costs `price_percent` of its price; a failed line costs nothing.
    pub tokens: TokenSums,
    /// 50 where there was a job: alibabacloud.com/help/en/model-studio/batch-interfaces-compatible-with-openai,
    /// 2025-12-04.
    pub price_percent: u64,
}

/// Refused calls by what refused them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Throttled {
    /// Requests in a window.
    pub requests: u64,
    /// Tokens in a window.
    pub tokens: u64,
    /// Requests in a slice of a window.
    pub per_second_requests: u64,
    /// Tokens in a slice of a window.
    pub per_second_tokens: u64,
    /// Growth of the rate.
    pub growth: u64,
    /// Calls at once.
    #[serde(default)]
    pub concurrency: u64,
    /// The window of a plan.
    #[serde(default)]
    pub plan: u64,
}

impl Throttled {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let slices = self.per_second_requests + self.per_second_tokens;
        let quotas = self.requests + self.tokens + slices;
        quotas + self.growth + self.concurrency + self.plan
    }
}

/// Faults by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Answered with 503.
    pub unavailable: u64,
    /// The connection broke.
    pub reset: u64,
    /// An error event came inside a stream.
    pub stream_error: u64,
    /// Completed without a word about usage.
    pub no_usage: u64,
    /// Answered with 500, a throttle in its body.
    pub throttle_500: u64,
    /// Answered with 200 and a throttle in the body.
    #[serde(default)]
    pub error_200: u64,
    /// The same, called an event stream.
    #[serde(default)]
    pub bare_json: u64,
    /// A stream that ended early as if it were whole.
    #[serde(default)]
    pub cut: u64,
}

/// Sums of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenSums {
    /// Prompts.
    pub prompt: u64,
    /// Answers, as far as they came.
    pub output: u64,
    /// Both.
    pub total: u64,
}

impl TokenSums {
    pub(crate) fn add(&mut self, prompt: u64, output: u64) {
        self.prompt += prompt;
        self.output += output;
        self.total += prompt + output;
    }
}

/// How much of the quotas was used.
///
/// Windows follow each other from the first accepted call on. The last, in which something was
/// still charged, is not full and left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Utilisation {
    /// The share of each full window.
    pub windows: Shares,
    /// Mean of the full windows; 0 without any.
    pub mean: Share,
    /// Mean of the full windows but the first; 0 without any.
    pub steady: Share,
    /// The highest sum over any stretch of one window, as the quotas see it (holds included),
    /// however they are enforced.
    pub highest_window: Share,
}

/// One figure per quota, relative to the quota.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Share {
    /// Of the requests.
    pub requests: f64,
    /// Of the tokens.
    pub tokens: f64,
}

/// A row of figures per quota, relative to the quota.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Shares {
    /// Of the requests.
    pub requests: Vec<f64>,
    /// Of the tokens.
    pub tokens: Vec<f64>,
}
