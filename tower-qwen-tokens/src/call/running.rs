use std::sync::Arc;

use http::Extensions;

use crate::macros::opaque_debug;

use super::{CallReport, facts::CallFacts};

/// A layer is at work on the call. When the last one is dropped, the call has ended.
#[must_use = "the call ends when it is dropped"]
pub struct RunningCall {
    report: CallReport,
    /// Whether another layer goes on with it.
    goes_on: bool,
}

impl RunningCall {
    /// A layer begins to work on the call.
    pub fn new(report: &CallReport) -> Self {
        report.facts().run();
        Self {
            report: report.clone(),
            goes_on: false,
        }
    }

    /// Where the layer writes what it knows.
    #[must_use]
    pub fn facts(&self) -> &Arc<CallFacts> {
        self.report.facts()
    }

    /// Puts the report into the extensions of an answer, in place of another call's.
    pub fn attach(&self, extensions: &mut Extensions) {
        match extensions.get_mut::<CallReport>() {
            // A layer further in did so already, nearly always: then it costs no box.
            Some(present) if present.is_same(&self.report) => {}
            Some(present) => *present = self.report.clone(),
            None => {
                extensions.insert(self.report.clone());
            }
        }
    }

    /// This layer is done, and the call has not ended: another layer will come.
    pub(super) fn pass_on(mut self) {
        self.goes_on = true;
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        match self.goes_on {
            true => self.facts().pass_on(),
            false => self.facts().stop(),
        }
    }
}

opaque_debug!(RunningCall, impl std::fmt::Debug for RunningCall);
