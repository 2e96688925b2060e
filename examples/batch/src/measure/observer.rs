//! Sees a run for its figures, and hands on what it sees.

use tower_qwen_ratelimit::Limiter;

use crate::{
    counts::Counts,
    fatal::Fatal,
    input::BadLine,
    run::{EndedCall, Observe},
};

use super::Measure;

/// Measures what another observer sees too.
#[derive(Debug)]
pub struct Measured<O> {
    inner: O,
    measure: Measure,
    limiter: Limiter,
}

impl<O> Measured<O> {
    /// Measures calls, and the accounts of this limiter.
    pub fn new(inner: O, measure: Measure, limiter: Limiter) -> Self {
        Self {
            inner,
            measure,
            limiter,
        }
    }

    /// The other observer.
    pub fn into_inner(self) -> O {
        self.inner
    }
}

impl<O: Observe> Observe for Measured<O> {
    fn bad_line(&mut self, line: &BadLine) {
        self.inner.bad_line(line);
    }

    fn tick(&mut self, counts: &Counts) {
        let window = |model: &str| self.limiter.quota_of(model).window_length();
        self.measure.sample(&self.limiter.snapshot(), window);
        self.inner.tick(counts);
    }

    fn closed(&mut self, fatal: &Fatal) {
        self.inner.closed(fatal);
    }

    fn ended(&mut self, call: EndedCall<'_>) {
        self.measure.call(call.model, call.times, call.is_success);
        self.inner.ended(call);
    }
}
