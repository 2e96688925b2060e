use std::sync::Arc;

use http::Request;
use tower_qwen_tokens::Usage;

use crate::{budget::BudgetReservation, reservation::Reservation};

/// The tokens that [`Enforce`](super::Enforce) has reserved for a call, for the handler below it.
/// In the request's extensions.
///
/// A Meter's report settles it; a handler that knows better settles it itself. The first to settle
/// counts. Clones share the reservation. A clone that is held longer than the response keeps the
/// call counted as running.
///
/// Below several Enforces it is the innermost one's; a Meter's report settles them all.
///
/// In shadow mode nothing is reserved for a call that would have been rejected.
#[derive(Debug, Clone)]
pub struct Reserved {
    tokens: Option<Arc<Reservation>>,
    budget: Option<Arc<BudgetReservation>>,
}

impl Reserved {
    pub(super) fn new(
        tokens: Option<Arc<Reservation>>,
        budget: Option<Arc<BudgetReservation>>,
    ) -> Self {
        Self { tokens, budget }
    }

    /// The reservation of a request; `None` without an Enforce above.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<&Self> {
        request.extensions().get()
    }

    /// Whether the call was charged; `false` only in shadow mode.
    #[must_use]
    pub fn is_charged(&self) -> bool {
        self.tokens.is_some()
    }

    /// Tokens reserved for the prompt.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.tokens.as_deref().map_or(0, Reservation::input_tokens)
    }

    /// Tokens reserved for the answer.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.tokens.as_deref().map_or(0, Reservation::output_tokens)
    }

    /// What the call holds in the budgets; `None` without any.
    #[must_use]
    pub fn budget(&self) -> Option<&BudgetReservation> {
        self.budget.as_deref()
    }

    /// Settles quota and budgets with the true cost, in tokens. The difference to the reserved tokens is returned or
    /// charged; `settle(0, 0)` returns all of them.
    pub fn settle(&self, input_tokens: u64, output_tokens: u64) {
        if let Some(reservation) = &self.tokens {
            reservation.settle(input_tokens, output_tokens);
        }
        if let Some(budget) = &self.budget {
            budget.settle(&Usage::new(input_tokens, output_tokens));
        }
    }
}
