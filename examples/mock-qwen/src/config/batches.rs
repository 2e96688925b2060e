//! The settings of the Batch API.

use std::time::Duration;

/// How the Batch API works through its jobs, and what it refuses.
///
/// The limits are those of Model Studio: alibabacloud.com/help/tc/model-studio/batch-inference, 2025-12-03, and
/// docs.qwencloud.com/developer-guides/text-generation/batch, both read on 2026-12-01.
#[derive(Debug, Clone, PartialEq)]
pub struct Batches {
    /// Lines in a file. Default: 50,000.
    pub lines: usize,
    /// Bytes of a file. Default: 500,000,000. The page says 500 MB.
    pub file_bytes: usize,
    /// Bytes of a line. Default: 6,000,000. The page says 6 MB.
    pub line_bytes: usize,
    /// Jobs of the account at one time. Default: 1,000, by the first page's table of rate limits.
    pub jobs: usize,
    /// Prompt tokens of a model that unfinished jobs may have together. Default: `None`, as Model Studio names no such
    /// limit. OpenAI and Azure have one: a job beyond it fails its validation with `token_limit_exceeded`
    /// (learn.microsoft.com/answers 2285577, 2025-06-19).
    pub enqueued_tokens: Option<u64>,
    /// How long the validation of a file takes, and the writing of the results. Default: 0. In two recordings validation
    /// took less than a second (cnblogs/dashscope-sdk, 2026-04-17).
    pub validation: Duration,
    /// The time from the first line to the last. Default: 1 s. At the provider it is minutes to hours: 596 s for 3 lines,
    /// 3,718 s for 1,000 (QwenLM/qwen-code `docs/users/features/batch.md`, 2026-09).
    pub work: Duration,
    /// How long an hour of `completion_window` takes. Default: an hour.
    pub hour: Duration,
    /// What goes wrong. Default: nothing.
    pub faults: BatchFaults,
}

/// What goes wrong with jobs. The counts are of the first ones: a test knows which one it meets.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BatchFaults {
    /// Uploads that are stored, but whose answer breaks off.
    pub broken_uploads: u64,
    /// Creations that are answered with 429.
    pub throttled_creations: u64,
    /// Creations that take effect, but whose answer breaks off.
    pub broken_creations: u64,
    /// Jobs that fail their validation.
    pub failed_jobs: u64,
    /// Probability that a line is answered with 503.
    pub failed_lines: f64,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            lines: 50_000,
            file_bytes: 500_000_000,
            line_bytes: 6_000_000,
            jobs: 1_000,
            enqueued_tokens: None,
            validation: Duration::ZERO,
            work: Duration::from_secs(1),
            hour: Duration::from_secs(3_600),
            faults: BatchFaults::default(),
        }
    }
}
