//! The only place that reads time, for all three crates.
//!
//! All waits use tokio's clock, so that tests can pause time. Wall time, which HTTP dates need, is
//! read once, and from then on follows tokio's clock: a test that advances time advances both.

use std::time::SystemTime;

pub use tokio::time::Instant;

/// The present instant of tokio's clock.
#[must_use]
// `.clippy.toml` forbids this call everywhere else.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall time that follows tokio's clock.
#[derive(Debug, Clone, Copy)]
pub struct WallClock {
    wall: SystemTime,
    anchor: Instant,
}

impl WallClock {
    /// Anchors wall time at the present instant.
    #[must_use]
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        Self {
            wall: SystemTime::now(),
            anchor: now(),
        }
    }

    /// The present wall time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.at(now())
    }

    /// The wall time of an instant.
    #[must_use]
    pub fn at(&self, instant: Instant) -> SystemTime {
        // What `SystemTime` cannot hold becomes the anchor: no date of an answer is that far away.
        match instant.checked_duration_since(self.anchor) {
            Some(later) => self.wall.checked_add(later).unwrap_or(self.wall),
            None => self
                .wall
                .checked_sub(self.anchor.duration_since(instant))
                .unwrap_or(self.wall),
        }
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}
