use std::{mem, sync::Arc};

use http::Extensions;

use crate::macros::opaque_debug;

use super::{CallReport, facts::CallFacts};

/// A layer is at work on the call. When the last one is dropped, the call has ended.
#[must_use = "the call ends when it is dropped"]
pub struct RunningCall(CallReport);

impl RunningCall {
    /// A layer begins to work on the call.
    pub fn new(report: &CallReport) -> Self {
        report.facts().run();
        Self(report.clone())
    }

    /// Where the layer writes what it knows.
    #[must_use]
    pub fn facts(&self) -> &Arc<CallFacts> {
        self.0.facts()
    }

    /// Puts the report into the extensions of an answer, in place of another call's.
    pub fn attach(&self, extensions: &mut Extensions) {
        match extensions.get_mut::<CallReport>() {
            // A layer further in did so already, nearly always: then it costs no box.
            Some(present) if present.is_same(&self.0) => {}
            Some(present) => *present = self.0.clone(),
            None => {
                extensions.insert(self.0.clone());
            }
        }
    }

    /// This layer is done, and the call has not ended: another layer will come.
    pub(super) fn pass_on(self) {
        self.facts().pass_on();
        mem::forget(self);
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.facts().stop();
    }
}

opaque_debug!(RunningCall, impl std::fmt::Debug for RunningCall);
