use std::sync::{Arc, OnceLock};

use tower_qwen_tokens::{Call, OnUsage, Report, Verdict};

use crate::{budget::BudgetReservation, reservation::Reservation, send_watch::SendWatch};

/// Passes a Meter's report to the reservation, except throttles and the ends of plans: those of a provider behind
/// the handler say nothing about the caller's account.
///
/// Usage always counts. A failure without usage is settled by the response's head: until it
/// arrives, a Retry below may send another attempt. An error response is settled when this is
/// dropped, that is, when nobody is left who may report usage. A call that a layer below has kept to
/// itself until then, such as one whose caller left a queue, costs nothing.
#[derive(Debug)]
pub(super) struct SettleOnUsage {
    reservation: Arc<Reservation>,
    watch: SendWatch,
    budget: Option<Arc<BudgetReservation>>,
    /// Set when the response's head arrives: the error of an error response, `None` for a success.
    head: OnceLock<Option<Verdict>>,
}

impl SettleOnUsage {
    pub(super) fn new(
        reservation: Arc<Reservation>,
        budget: Option<Arc<BudgetReservation>>,
        call: Option<&Call>,
    ) -> Self {
        Self {
            reservation,
            watch: SendWatch::new(call),
            budget,
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
        if !self.watch.is_sent() {
            return self.give_back();
        }
        if let Some(budget) = &self.budget {
            budget.fail(verdict);
        }
        self.reservation.settle_failed(verdict);
    }

    /// Nobody has worked on the call: its tokens and its money come back.
    fn give_back(&self) {
        if let Some(budget) = &self.budget {
            budget.give_back();
        }
        self.reservation.give_tokens_back();
    }
}

impl OnUsage for SettleOnUsage {
    fn on_usage(&self, report: &Report) {
        let is_accepted = matches!(self.head.get(), Some(None));
        // A failed attempt without usage: another one may follow, or the head settles it.
        if report.usage.is_empty() && !is_accepted {
            return;
        }
        if let Some(budget) = &self.budget {
            budget.on_usage(report);
        }
        let reservation = &*self.reservation;
        match &report.verdict {
            // Not handed on: the reservation would close the caller's account for the provider's
            // throttle, or for its plan.
            Some(verdict) if verdict.is_throttle() || verdict.plan_window().is_some() => {
                let usage = &report.usage;
                if usage.is_empty() {
                    return reservation.settle_failed(verdict);
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
        match self.head.get() {
            Some(Some(verdict)) => self.fail(verdict),
            // Its caller left before it was answered: if it was sent, nobody knows what it cost.
            None if !self.watch.may_cost() => self.give_back(),
            Some(None) | None => {}
        }
    }
}
