use std::time::Duration;

use tower_qwen_tokens::internal::clock::Instant;

use super::{Account, AdmitRequest, Charge, admit::Arrival};
use crate::{
    cost::Cost,
    error::{RejectKind, Rejected},
};

impl Account {
    /// Admits the call at once or rejects it with the wait that it would take. Overtakes no waiter,
    /// and is charged to its flow as if it had waited.
    pub(crate) fn try_acquire(
        &self,
        request: &AdmitRequest,
        now: Instant,
    ) -> Result<Charge, Rejected> {
        let (state, estimate) = match self.arrive(request, now) {
            Arrival::Admitted(charge) => return Ok(charge),
            Arrival::MustWait {
                state, estimate, ..
            } => (state, estimate),
        };
        let wait = state.wait_of(estimate);
        drop(state);
        let rejected = wait.map_or_else(
            |rejected| rejected,
            |wait| Rejected::new(RejectKind::MaxWait, Some(wait)),
        );
        Err(self.rejected(rejected))
    }

    /// The wait that a call would take; nothing where it would be admitted now.
    pub(crate) fn wait_of(&self, cost: Cost, now: Instant) -> Result<Duration, Rejected> {
        let state = self.advanced(now);
        state.wait_of(state.estimate(cost, None))
    }
}
