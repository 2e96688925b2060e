//! The only place that reads time.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// tokio's time, counted from the start of the server.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    start: Instant,
    wall: SystemTime,
}

impl Clock {
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Time since the start.
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn now(&self) -> Duration {
        Instant::now().duration_since(self.start)
    }

    /// The wall time of an instant: the wall time of the start plus tokio's time since.
    pub(crate) fn wall(&self, at: Duration) -> SystemTime {
        self.wall + at
    }

    /// Waits until an instant. Returns at once if it has come, since a timer would round up to the
    /// next millisecond.
    pub(crate) async fn sleep_until(&self, at: Duration) {
        if at <= self.now() {
            return;
        }
        tokio::time::sleep_until(self.start + at).await;
    }
}
