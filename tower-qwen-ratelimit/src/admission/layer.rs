use std::time::Duration;

use http::HeaderValue;
use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::Admission;
use crate::limiter::Limiter;

/// Puts [`Admission`] before a service; see the [module](super). Cloning and layering anew share the limiter's accounts.
#[derive(Debug, Clone)]
#[must_use]
pub struct AdmissionLayer {
    limiter: Limiter,
    options: Options,
}

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) max_wait: Option<Duration>,
    pub(super) read: ReadOptions,
    pub(super) provider_queue_timeout: Option<HeaderValue>,
    pub(super) wall: WallClock,
}

impl AdmissionLayer {
    /// Admission by this limiter.
    pub fn new(limiter: Limiter) -> Self {
        Self {
            limiter,
            options: Options {
                max_wait: None,
                read: ReadOptions::default(),
                provider_queue_timeout: None,
                wall: WallClock::new(),
            },
        }
    }

    /// The longest wait for quota: a call whose predicted wait is longer is refused at once, any other when it has waited
    /// for so long. The same goes for a call's [`Deadline`](tower_qwen_tokens::Deadline). Default: none.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.options.max_wait = Some(max_wait);
        self
    }

    /// Asks the provider to queue a call that grows too fast, for at most so long, rather than to throttle it
    /// (`X-DashScope-Wait-Timeout`, which a caller may set itself). Whole seconds; the provider recommends 3 to 120.
    /// Timeouts further in grow by as much. Default: not asked.
    pub fn provider_queue_timeout(mut self, timeout: Duration) -> Self {
        self.options.provider_queue_timeout = Some(HeaderValue::from(timeout.as_secs()));
        self
    }

    /// How requests are read where no outer layer did. Default: [`ReadOptions::default`].
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        self.options.read = options;
        self
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(inner, self.limiter.clone(), self.options.clone())
    }
}
