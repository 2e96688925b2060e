use crate::{
    fleet::CallId,
    gate::{DayNumber, Nanos, Slot},
    queue::Served,
};

/// What one admitted call has been charged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) slot: Slot,
    pub(crate) day: DayNumber,
    pub(crate) at: Nanos,
    /// From this instant on it would be charged elsewhere.
    pub(crate) dated_until: Nanos,
    /// Whether the account wants to hear when the call has ended.
    pub(crate) is_timed: bool,
    /// Its number, where a store has to hear of it; else 0.
    pub(crate) id: CallId,
    /// In the queue's own count.
    pub(crate) served: Served,
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The true cost is known.
    Known { input: u64, output: u64 },
    /// Nothing more will be known: the estimate stands.
    EstimateStands,
    /// The provider refused the call: its tokens come back, the request counts.
    Refused,
    /// The call failed after the provider took it: the prompt counts, the answer comes back.
    PromptOnly,
    /// The call was never sent.
    NeverSent,
}

impl Charge {
    pub(crate) fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
