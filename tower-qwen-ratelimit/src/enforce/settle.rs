use std::sync::{Arc, OnceLock};

use tower_qwen_tokens::{OnUsage, Report, Verdict};

use crate::reservation::Reservation;

/// Hands a Meter's report on to the reservation, but no throttle: one of a provider behind the handler says nothing about
/// the caller's account.
///
/// Usage counts whatever the answer is. A failure without any is the head's to classify: until it is there, another attempt
/// may follow below. An error answer settles when nobody is left who may still report usage.
#[derive(Debug)]
pub(super) struct Settler {
    reservation: Arc<Reservation>,
    /// Once there is an answer: why it is an error, if it is one.
    answered: OnceLock<Option<Verdict>>,
}

impl Settler {
    pub(super) fn new(reservation: Arc<Reservation>) -> Self {
        Self {
            reservation,
            answered: OnceLock::new(),
        }
    }

    /// The answer's head is there. Gives what is to be held until the body ends.
    pub(super) fn answered(self: Arc<Self>, error: Option<Verdict>) -> Arc<Reservation> {
        let _ = self.answered.set(error);
        self.reservation.clone()
    }

    /// No answer will come.
    pub(super) fn failed(&self, verdict: &Verdict) {
        self.reservation.fail(verdict);
    }
}

impl OnUsage for Settler {
    fn on_usage(&self, report: &Report) {
        let is_accepted = matches!(self.answered.get(), Some(None));
        if report.usage.is_empty() && !is_accepted {
            return;
        }
        let reservation = &*self.reservation;
        match &report.verdict {
            Some(verdict) if verdict.is_throttle() => {
                if report.usage.is_empty() {
                    reservation.fail(verdict);
                } else {
                    let usage = &report.usage;
                    reservation.settle(
                        usage
                            .input_tokens
                            .unwrap_or_else(|| reservation.input_tokens()),
                        usage
                            .output_tokens
                            .unwrap_or_else(|| reservation.output_tokens()),
                    );
                }
            }
            _ => OnUsage::on_usage(reservation, report),
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        if let Some(Some(verdict)) = self.answered.get() {
            self.reservation.fail(verdict);
        }
    }
}
