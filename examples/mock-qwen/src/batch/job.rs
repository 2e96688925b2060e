//! A job, as it is now.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::input::LineError;

/// A job of the Batch API.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) input_file_id: String,
    pub(crate) endpoint: String,
    pub(crate) completion_window: String,
    /// After so long it expires, by the server's clock.
    pub(crate) expires_after: Duration,
    pub(crate) metadata: Value,
    pub(crate) status: Status,
    /// When it came to each status, in seconds since 1970.
    pub(crate) dates: Vec<(Status, u64)>,
    pub(crate) counts: Counts,
    /// Why its validation failed.
    pub(crate) errors: Vec<LineError>,
    pub(crate) output_file_id: Option<String>,
    pub(crate) error_file_id: Option<String>,
    /// What its lines ask of the queue, while they are in it.
    pub(crate) queued: Option<Queued>,
    /// Wakes its worker when it is cancelled.
    pub(super) cancelled: Arc<Notify>,
}

/// The place of a job in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) model: String,
    pub(crate) tokens: u64,
}

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) total: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Validating,
    InProgress,
    Finalizing,
    Completed,
    Failed,
    Expired,
    Cancelling,
    Cancelled,
}

impl Status {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing comes after it.
    pub(crate) fn is_end(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Expired | Self::Cancelled
        )
    }
}

impl Job {
    /// A cancellation that came meanwhile stands.
    pub(super) fn go_to(&mut self, status: Status, second: u64) {
        let is_cancelling = self.status == Status::Cancelling;
        if is_cancelling && matches!(status, Status::InProgress | Status::Finalizing) {
            return;
        }
        self.status = status;
        self.dates.push((status, second));
        if status.is_end() {
            self.queued = None;
        }
    }

    /// When it came to a status; `None` if it did not.
    pub(super) fn date(&self, status: Status) -> Option<u64> {
        let found = self.dates.iter().find(|(at, _)| *at == status);
        found.map(|(_, second)| *second)
    }
}
