#[cfg(feature = "redis")]
use crate::fleet::CallId;
use crate::{
    gate::{Amounts, DayNumber, SlotNumber},
    queue::Served,
    units::Nanos,
};

/// What one admitted call has been charged, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) slot: SlotNumber,
    pub(crate) day: DayNumber,
    pub(crate) at: Nanos,
    /// When the call's first attempt arrived.
    pub(crate) arrived: Nanos,
    /// What the windows of requests and of tokens held before it.
    pub(crate) before: (u64, u64),
    /// From this instant on it would be charged to another slot or day.
    pub(crate) dated_until: Nanos,
    /// Whether the call's end has to be reported.
    pub(crate) is_timed: bool,
    /// Whether it probes an account whose plan is used up.
    pub(crate) is_probe: bool,
    /// Its number, where its cost has to be reported to a store; else 0.
    #[cfg(feature = "redis")]
    pub(crate) id: CallId,
    /// What its flow was charged.
    pub(crate) served: Served,
}

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The true cost is known.
    Known { input: u64, output: u64 },
    /// Nothing more will be known: the estimate stands.
    EstimateStands,
    /// The provider rejected the call: its tokens come back, the request counts.
    Rejected,
    /// The call failed after the provider took it: the prompt counts, the answer comes back.
    PromptOnly,
    /// The call was never sent.
    NeverSent,
}

impl Charge {
    pub(crate) fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// What it was charged, in all that a limit can count.
    #[inline]
    pub(super) fn amounts(&self) -> Amounts {
        Amounts {
            requests: 1,
            input: self.input,
            output: self.output,
        }
    }

    /// Whether a store knows it by a number.
    pub(super) fn is_numbered(&self) -> bool {
        #[cfg(feature = "redis")]
        return self.id != 0;
        #[cfg(not(feature = "redis"))]
        false
    }

    /// The tokens of the prompt and the answer that the call cost.
    #[inline]
    pub(super) fn cost(&self, outcome: Outcome) -> (u64, u64) {
        match outcome {
            Outcome::Known { input, output } => (input, output),
            Outcome::EstimateStands => (self.input, self.output),
            Outcome::PromptOnly => (self.input, 0),
            Outcome::Rejected | Outcome::NeverSent => (0, 0),
        }
    }
}
