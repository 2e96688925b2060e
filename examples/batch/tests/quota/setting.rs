//! Where and by which clock a study runs.

use std::time::Duration;

use mock_qwen::{Config, Growth};

use crate::client::Wire;

/// The provider's window, and how all other times stand to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) window: Duration,
    pub(crate) wire: Wire,
}

impl Setting {
    /// A real minute in paused time, the provider in-process.
    pub(crate) const PAUSED: Self = Self {
        window: Duration::from_secs(60),
        wire: Wire::Router,
    };

    /// A minute that takes six seconds of the machine's own clock, the provider behind a socket.
    pub(crate) const BY_THE_CLOCK: Self = Self {
        window: Duration::from_secs(6),
        wire: Wire::Loopback,
    };

    /// The provider's quota of every study: tokens bind, at some hundred calls a window.
    pub(crate) fn provider(&self) -> Config {
        Config {
            rpm: 3_000,
            tpm: 100_000,
            chunk_tokens: 16,
            window: self.window,
            ttft: self.of_a_minute(Duration::from_millis(200)),
            tpot: self.of_a_minute(Duration::from_millis(5)),
            jitter: 0.2,
            ..Config::default()
        }
    }

    /// Punishes growth from one second of the minute to the next.
    pub(crate) fn growth(&self) -> Growth {
        Growth {
            period: self.of_a_minute(Growth::default().period),
            ..Growth::default()
        }
    }

    /// What a time of a real minute is in this one.
    fn of_a_minute(&self, time: Duration) -> Duration {
        time.mul_f64(self.window.as_secs_f64() / 60.0)
    }
}
