//! What the provider allows, and who calls it.

use std::time::Duration;

use mock_qwen::Config;

use crate::jobs::Size;
use crate::provider::Times;
use crate::schedule::Schedule;

/// What the provider allows, and who calls it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The provider's rules. Its limits are those of the first window.
    pub provider: Config,
    /// How its limits change.
    pub schedule: Schedule,
    /// How long it takes.
    pub times: Times,
    /// The jobs.
    pub size: Size,
    /// Processes that share the quota and know nothing of each other.
    pub processes: usize,
    /// Callers of all processes together; each has the next call as soon as one has ended.
    pub callers: usize,
    /// How long the run lasts.
    pub windows: u32,
}

impl Setup {
    /// So many requests a minute of 1,000 tokens, first come, first served by a sliding window; 21 windows.
    #[must_use]
    pub fn new(rpm: u64) -> Self {
        let provider = Config {
            rpm,
            tpm: rpm * 1_000,
            ..Config::default()
        };
        Self {
            provider,
            schedule: Schedule::default(),
            times: Times::MINUTE,
            size: Size::BothBind,
            processes: 1,
            callers: callers(rpm),
            windows: 21,
        }
    }

    /// The same where a minute takes `minute`: windows, growth and the provider's times.
    #[must_use]
    pub fn of_minute(mut self, minute: Duration) -> Self {
        self.provider.window = minute;
        self.times = self.times.of_minute(minute);
        if let Some(growth) = &mut self.provider.growth {
            growth.period = minute / 60;
        }
        self
    }
}

/// Callers that always want more than `rpm` requests a minute: an answer takes three seconds on the mean, so a twentieth of them
/// runs at one time. 256 at least, but for small quotas no more than a few windows' worth.
fn callers(rpm: u64) -> usize {
    let busy = rpm / 8;
    let few = (rpm * 4).max(16);
    usize::try_from(busy.max(256).min(few)).unwrap_or(usize::MAX)
}
