use std::sync::{Arc, OnceLock};

use tower_qwen_tokens::{OnUsage, Report, Verdict};

use crate::reservation::Reservation;

/// Passes a Meter's report to the reservation, except throttles: a throttle of a provider behind
/// the handler says nothing about the caller's account.
///
/// Usage always counts. A failure without usage is settled by the response's head: until it
/// arrives, a Retry below may send another attempt. An error response is settled when this is
/// dropped, that is, when nobody is left who may report usage.
#[derive(Debug)]
pub(super) struct SettleOnUsage {
    reservation: Arc<Reservation>,
    /// Set when the response's head arrives: the error of an error response, `None` for a success.
    head: OnceLock<Option<Verdict>>,
}

impl SettleOnUsage {
    pub(super) fn new(reservation: Arc<Reservation>) -> Self {
        Self {
            reservation,
            head: OnceLock::new(),
        }
    }

    /// The response's head has arrived. Returns the reservation, to be held until the body ends.
    pub(super) fn head_arrived(self: Arc<Self>, error: Option<Verdict>) -> Arc<Reservation> {
        // Called once for each call, so it is never set already.
        let _ = self.head.set(error);
        self.reservation.clone()
    }

    /// There will be no response.
    pub(super) fn fail(&self, verdict: &Verdict) {
        self.reservation.fail(verdict);
    }
}

impl OnUsage for SettleOnUsage {
    fn on_usage(&self, report: &Report) {
        let is_accepted = matches!(self.head.get(), Some(None));
        // A failed attempt without usage: another one may follow, or the head settles it.
        if report.usage.is_empty() && !is_accepted {
            return;
        }
        let reservation = &*self.reservation;
        match &report.verdict {
            // Not handed on: the reservation would close the caller's account for the provider's
            // throttle.
            Some(verdict) if verdict.is_throttle() => {
                let usage = &report.usage;
                if usage.is_empty() {
                    return reservation.fail(verdict);
                }
                let input = usage.input_tokens.unwrap_or(reservation.input_tokens());
                let output = usage.output_tokens.unwrap_or(reservation.output_tokens());
                reservation.settle(input, output);
            }
            _ => OnUsage::on_usage(reservation, report),
        }
    }
}

impl Drop for SettleOnUsage {
    fn drop(&mut self) {
        if let Some(Some(verdict)) = self.head.get() {
            self.reservation.fail(verdict);
        }
    }
}
