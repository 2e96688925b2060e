use std::time::Duration;

use http::HeaderValue;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use crate::limiter::Limiter;

/// What the services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) limiter: Limiter,
    pub(super) max_wait: Option<Duration>,
    pub(super) read_options: ReadOptions,
    /// As the header's value, so that no call formats it.
    pub(super) provider_queue_timeout: Option<HeaderValue>,
    pub(super) clock: WallClock,
}

impl Settings {
    pub(super) fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            max_wait: None,
            read_options: ReadOptions::default(),
            provider_queue_timeout: None,
            clock: WallClock::new(),
        }
    }
}
