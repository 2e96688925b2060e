use std::sync::Arc;

use http::Request;

use crate::reservation::Reservation;

/// What was set aside for a call, for the handler below an Enforce, which puts it into the request's extensions.
///
/// The Meter's report settles it by itself; a handler does so where it knows better. The first to settle counts.
/// Clones share it. Where one is held beyond the answer, the call counts as running for as long.
///
/// Below several Enforces it is the innermost one's; a Meter's report settles them all.
///
/// In shadow mode nothing is set aside for a call that would have been refused.
#[derive(Debug, Clone)]
pub struct Reserved(Option<Arc<Reservation>>);

impl Reserved {
    pub(super) fn new(reservation: Option<Arc<Reservation>>) -> Self {
        Self(reservation)
    }

    /// What was set aside for a request; `None` where no Enforce stands above.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// Whether anything was set aside.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        self.0.is_some()
    }

    /// Tokens set aside for the prompt.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.0
            .as_deref()
            .map_or(0, |reservation| reservation.input_tokens())
    }

    /// Tokens set aside for the answer.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.0
            .as_deref()
            .map_or(0, |reservation| reservation.output_tokens())
    }

    /// Settles with the true cost, in tokens: the difference comes back, or is owed. With nothing, all of them come back.
    pub fn settle(&self, input_tokens: u64, output_tokens: u64) {
        if let Some(reservation) = &self.0 {
            reservation.settle(input_tokens, output_tokens);
        }
    }
}
