//! How far a run is, and what its calls came to.

use std::collections::BTreeMap;

use crate::{end_rules::Ended, failures::Failures, fatal::Fatal, output::Record};

/// Kinds of failure that are counted apart; codes come from outside, so their number is bounded.
const MAX_CODES: usize = 32;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were answered in an earlier run and not made again.
    pub answered_before: u64,
    /// Calls that were answered.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Of these, by the code of their error.
    pub failed_by: BTreeMap<String, u64>,
    /// Of these, by what they say.
    pub failures: Failures,
    /// Lines that are no calls.
    pub bad_lines: u64,
    /// Calls that are under way or wait for their turn.
    pub held: u64,
    /// Calls that were taken up and not sent: the run ended, or their model or path cannot be called.
    pub not_sent: u64,
    /// The user stopped the run before its end.
    pub stopped: bool,
    /// Why the run ended before its input, if it did by itself.
    pub ended: Option<Ended>,
    /// Models and paths that cannot be called; their calls are not sent.
    pub closed: Vec<Fatal>,
}

impl Counts {
    /// Counts a call that has its line.
    pub(crate) fn note(&mut self, record: &Record) {
        if record.is_success() {
            self.succeeded += 1;
            return;
        }
        self.failed += 1;
        self.failures.note(record);
        let code = record.error.as_ref().map_or("unknown", |error| &error.code);
        let code = if self.failed_by.len() < MAX_CODES || self.failed_by.contains_key(code) {
            code
        } else {
            "(other)"
        };
        *self.failed_by.entry(code.to_owned()).or_default() += 1;
    }

    /// Whether the calls of a model and path are not sent any more.
    pub(crate) fn has_closed(&self, fatal: &Fatal) -> bool {
        let mut closed = self.closed.iter();
        closed.any(|known| (&known.model, &known.path) == (&fatal.model, &fatal.path))
    }

    /// Where no model and no path that the input names can be called, nothing can succeed.
    pub(crate) fn close(&mut self) {
        let has_ended = self.stopped || self.ended.is_some();
        if self.succeeded == 0 && !has_ended {
            self.ended = self.closed.first().cloned().map(Ended::Fatal);
        }
    }

    /// Calls and lines that are dealt with, in this run or before.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.answered_before + self.succeeded + self.failed + self.bad_lines
    }
}
