//! All files and jobs of the account.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use super::input::LineError;
use super::job::{Counts, Job, Queued, Status};
use crate::config::{BatchFaults, Batches};
use crate::stats::BatchStats;

/// A file of the account.
#[derive(Debug, Clone)]
pub(crate) struct StoredFile {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) purpose: String,
    /// In seconds since 1970.
    pub(crate) created_at: u64,
    pub(crate) content: Bytes,
}

/// What a creation asks for.
#[derive(Debug)]
pub(crate) struct NewJob {
    pub(crate) input_file_id: String,
    pub(crate) endpoint: String,
    pub(crate) completion_window: String,
    pub(crate) expires_after: Duration,
    pub(crate) metadata: Value,
}

/// All files and jobs, the oldest first.
#[derive(Debug)]
pub(crate) struct Store {
    files: Vec<StoredFile>,
    jobs: Vec<Job>,
    stats: BatchStats,
    /// The faults that are still to come.
    faults: BatchFaults,
}

impl Store {
    pub(crate) fn new(config: &Batches) -> Self {
        Self {
            files: Vec::new(),
            jobs: Vec::new(),
            stats: BatchStats::default(),
            faults: config.faults,
        }
    }

    pub(crate) fn stats(&self) -> BatchStats {
        self.stats
    }

    pub(crate) fn reset_stats(&mut self) {
        self.stats = BatchStats::default();
    }

    pub(crate) fn stats_mut(&mut self) -> &mut BatchStats {
        &mut self.stats
    }

    /// Whether this fault is due once more.
    pub(crate) fn draw(&mut self, fault: fn(&mut BatchFaults) -> &mut u64) -> bool {
        let left = fault(&mut self.faults);
        let is_due = *left > 0;
        *left = left.saturating_sub(1);
        is_due
    }

    pub(crate) fn add_file(&mut self, file: StoredFile) {
        self.files.push(file);
    }

    pub(crate) fn file(&self, id: &str) -> Option<&StoredFile> {
        self.files.iter().find(|file| file.id == id)
    }

    pub(crate) fn files(&self) -> &[StoredFile] {
        &self.files
    }

    /// Whether there was such a file.
    pub(crate) fn delete_file(&mut self, id: &str) -> bool {
        let before = self.files.len();
        self.files.retain(|file| file.id != id);
        let is_deleted = self.files.len() < before;
        self.stats.files_deleted += u64::from(is_deleted);
        is_deleted
    }

    pub(crate) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    pub(crate) fn job_mut(&mut self, id: &str) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    /// Jobs that have not ended.
    pub(crate) fn unfinished(&self) -> usize {
        self.jobs.iter().filter(|job| !job.status.is_end()).count()
    }

    pub(crate) fn create(&mut self, id: String, new: NewJob, second: u64) -> &Job {
        self.stats.jobs_created += 1;
        self.stats.price_percent = 50;
        self.jobs.push(Job {
            id,
            input_file_id: new.input_file_id,
            endpoint: new.endpoint,
            completion_window: new.completion_window,
            expires_after: new.expires_after,
            metadata: new.metadata,
            status: Status::Validating,
            dates: vec![(Status::Validating, second)],
            counts: Counts::default(),
            errors: Vec::new(),
            output_file_id: None,
            error_file_id: None,
            queued: None,
            cancelled: Arc::new(Notify::new()),
        });
        &self.jobs[self.jobs.len() - 1]
    }

    /// Takes a job into the queue, unless that has no room for its tokens.
    pub(super) fn enqueue(
        &mut self,
        id: &str,
        queued: Queued,
        limit: Option<u64>,
    ) -> Result<(), LineError> {
        let of_model = |job: &Job| match &job.queued {
            Some(other) if other.model == queued.model => other.tokens,
            _ => 0,
        };
        let sum: u64 = self.jobs.iter().map(of_model).sum();
        if let Some(limit) = limit.filter(|&limit| sum + queued.tokens > limit) {
            let message = format!(
                "The number of enqueued tokens has surpassed the configured limit of {limit} for the model '{}'. \
                 Please try again once the current jobs have finished.",
                queued.model
            );
            return Err(LineError::of_file("token_limit_exceeded", message));
        }
        if let Some(job) = self.job_mut(id) {
            job.queued = Some(queued);
        }
        Ok(())
    }

    /// Cancels a job; `None` where there is no such job. One that has ended stays as it is.
    pub(crate) fn cancel(&mut self, id: &str, second: u64) -> Option<&Job> {
        let job = self.job_mut(id)?;
        if matches!(job.status, Status::Validating | Status::InProgress) {
            job.go_to(Status::Cancelling, second);
            job.cancelled.notify_one();
        }
        Some(job)
    }
}
