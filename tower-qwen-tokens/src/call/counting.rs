use std::{fmt, sync::Arc};

use crate::estimate::{Calibration, Estimate};

/// How prompts are counted: the counter and the calibration that corrects it.
#[derive(Clone, Default)]
pub(super) struct Counting {
    /// The user's own; `None` is the built-in one.
    pub(super) counter: Option<Arc<dyn Estimate>>,
    pub(super) calibration: Calibration,
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting")
            .field("built_in", &self.counter.is_none())
            .field("calibration", &self.calibration)
            .finish()
    }
}
