use std::sync::Arc;

use tower_qwen_tokens::{Report, Settle};

use crate::reservation::Reservation;

/// Hands a Meter's report on to the reservation, but no throttle: one of a provider behind the handler says nothing about
/// the caller's account.
#[derive(Debug)]
pub(super) struct Settler(pub(super) Arc<Reservation>);

impl Settle for Settler {
    fn settle(&self, report: &Report) {
        let reservation = &*self.0;
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
            _ => Settle::settle(reservation, report),
        }
    }
}
