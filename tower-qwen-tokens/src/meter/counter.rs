use std::sync::Arc;

use crate::{
    estimate::Estimate,
    macros::opaque_debug,
    scan::{Scanned, Scanner},
};

/// Counts the text of streams that are cut; by default there is none.
#[derive(Clone, Default)]
pub(super) struct Counter(Option<Arc<dyn Estimate>>);

impl Counter {
    pub(super) fn new(counter: impl Estimate + 'static) -> Self {
        Self(Some(Arc::new(counter)))
    }

    pub(super) fn prepare(&self, scanner: Scanner) -> Scanner {
        match &self.0 {
            // Only streams can be cut in a way that leaves text without usage.
            Some(_) if scanner.may_read_events() => scanner.keep_text(),
            _ => scanner,
        }
    }

    pub(super) fn finish(&self, scanner: Scanner) -> Scanned {
        match &self.0 {
            Some(counter) => scanner.finish_counting(counter),
            None => scanner.finish(),
        }
    }
}

opaque_debug!(Counter, impl std::fmt::Debug for Counter);
