use std::time::Duration;

use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, clock::WallClock};

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
                wall: WallClock::new(),
            },
        }
    }

    /// The longest wait for quota: a call whose predicted wait is longer is refused at once. Default: none.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.options.max_wait = Some(max_wait);
        self
    }

    /// How requests are read where no outer layer did. Default: [`ReadOptions::default`].
    pub fn read(mut self, options: ReadOptions) -> Self {
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
