use std::{fmt, sync::Arc};

use crate::estimate::{Calibration, Estimate, Estimated};

/// How prompts are counted: the counter and the calibration that corrects it.
#[derive(Clone, Default)]
pub(super) struct Counting {
    /// The user's own; `None` is the built-in one.
    counter: Option<Arc<dyn Estimate>>,
    calibration: Calibration,
}

impl Counting {
    pub(super) fn by(&mut self, counter: Arc<dyn Estimate>) {
        self.counter = Some(counter);
    }

    pub(super) fn calibrate(&mut self, calibration: Calibration) {
        self.calibration = calibration;
    }

    pub(super) fn counter(&self) -> Option<&dyn Estimate> {
        self.counter.as_deref()
    }

    pub(super) fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// The likely size of a prompt of this estimate, and the cautious one to reserve. Unit: tokens.
    pub(super) fn calibrated(&self, model: &str, estimated: Estimated) -> (u64, u64) {
        // Both from one lock, so that they belong to the same state of the calibration.
        let factors = self.calibration.factors(model, estimated.script);
        (
            factors.likely.apply(estimated.tokens),
            factors.cautious.apply(estimated.tokens),
        )
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting")
            .field("built_in", &self.counter.is_none())
            .field("calibration", &self.calibration)
            .finish()
    }
}
