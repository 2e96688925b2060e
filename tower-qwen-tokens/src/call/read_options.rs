use std::sync::Arc;

use super::counting::Counting;
use crate::estimate::{Calibration, Estimate};

/// How requests are read.
///
/// # Clone
///
/// Clones share the [`Calibration`].
///
/// ```
/// use tower_qwen_tokens::{call::ReadOptions, estimate::Calibration};
///
/// let calibration = Calibration::new();
/// let options = ReadOptions::default().calibration(calibration.clone());
/// // `options` goes to the outermost layer; what it learns can be seen here.
/// assert!(calibration.snapshot().is_empty());
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ReadOptions {
    pub(super) max_body: usize,
    pub(super) counting: Counting,
}

impl ReadOptions {
    /// The largest body that is collected. Unit: bytes. Default: 32 MiB, since images travel as
    /// base64.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// What counts the texts of a prompt. Default: [`Heuristic`](crate::estimate::Heuristic).
    ///
    /// A calibration works on top of it all the same, and learns what the host adds. With an exact
    /// counter, give it one without caution: `Calibration::with_caution(Ratio::ONE)`.
    pub fn estimate(mut self, counter: impl Estimate + 'static) -> Self {
        self.counting.counter = Some(Arc::new(counter));
        self
    }

    /// What corrects the counts, and learns from every call that a `Meter` sees settled. Default:
    /// one of its own.
    pub fn calibration(mut self, calibration: Calibration) -> Self {
        self.counting.calibration = calibration;
        self
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_body: 32 * 1024 * 1024,
            counting: Counting::default(),
        }
    }
}
