//! The flags of the Batch API.

use std::time::Duration;

use clap::Args;
use mock_qwen::{BatchFaults, Batches};

use super::{duration::duration, share};

/// How jobs are worked through, and what goes wrong with them.
#[derive(Debug, Clone, Args)]
pub(super) struct BatchArgs {
    /// The time that a job of the Batch API takes from its first line to its last
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    batch_work: Duration,
    /// How long its validation takes, and the writing of its results
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    batch_validation: Duration,
    /// How long an hour of its completion window takes
    #[arg(long, value_name = "TIME", default_value = "3600s", value_parser = duration)]
    batch_hour: Duration,
    /// Jobs at one time
    #[arg(long, value_name = "JOBS", default_value_t = 1_000)]
    batch_jobs: usize,
    /// Prompt tokens of a model that unfinished jobs may have together; without it any number
    #[arg(long, value_name = "TOKENS")]
    batch_enqueued_tokens: Option<u64>,
    /// Probability that a line of a job is answered with 503
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    fault_batch_lines: f64,
    /// So many uploads are stored, but their answers break off
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_uploads: u64,
    /// So many creations take effect, but their answers break off
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_creations: u64,
    /// So many creations are throttled
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_creations_429: u64,
    /// So many jobs fail their validation
    #[arg(long, value_name = "N", default_value_t = 0)]
    fault_jobs: u64,
}

impl BatchArgs {
    pub(super) fn config(&self) -> Batches {
        Batches {
            work: self.batch_work,
            validation: self.batch_validation,
            hour: self.batch_hour,
            jobs: self.batch_jobs,
            enqueued_tokens: self.batch_enqueued_tokens,
            faults: BatchFaults {
                broken_uploads: self.fault_uploads,
                throttled_creations: self.fault_creations_429,
                broken_creations: self.fault_creations,
                failed_jobs: self.fault_jobs,
                failed_lines: self.fault_batch_lines,
            },
            ..Batches::default()
        }
    }
}
