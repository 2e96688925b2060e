use std::time::Duration;

use tower_layer::Layer;

use super::StallTimeout;

/// Layer of [`StallTimeout`]. See the [module docs](super).
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct StallTimeoutLayer {
    timeout: Duration,
}

impl StallTimeoutLayer {
    /// A layer whose bodies fail after this time without a frame.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for StallTimeoutLayer {
    type Service = StallTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StallTimeout {
            inner,
            timeout: self.timeout,
        }
    }
}
