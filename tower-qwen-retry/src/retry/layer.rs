use std::sync::Arc;

use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::Retry;
use crate::RetryPolicy;

/// Puts [`Retry`] around a service. See the [module page](crate::retry).
#[derive(Debug, Clone)]
#[must_use]
pub struct RetryLayer {
    shared: Arc<Shared>,
}

/// What all services of a layer share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) policy: RetryPolicy,
    pub(super) reading: ReadOptions,
    pub(super) clock: WallClock,
}

impl RetryLayer {
    /// A layer that retries as `policy` says.
    pub fn new(policy: RetryPolicy) -> Self {
        let shared = Shared {
            policy,
            reading: ReadOptions::default(),
            clock: WallClock::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How a request is read that no layer outside of this one has read yet. Default: [`ReadOptions::default`].
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.shared).reading = options;
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.shared))
    }
}
