use std::sync::Arc;

use tower_qwen_tokens::{internal::clock::Instant, ledger::Day};

use super::{CallId, SharedAccount, UsageBatch, UsageQuery};
use crate::{adapt::Beliefs, leased_amounts::LeaseReport};

/// An operation for the store.
#[derive(Debug)]
pub(crate) enum Op {
    /// The head of an account asks to be booked.
    Book {
        account: Arc<dyn SharedAccount>,
        id: CallId,
        input: u64,
        output: u64,
        /// The latest instant at which it may go.
        latest: Option<Instant>,
    },
    /// A call goes out later than it was booked.
    Send {
        account: Arc<dyn SharedAccount>,
        id: CallId,
    },
    /// It is known what a call cost, or that it was never sent.
    Settle {
        account: Arc<dyn SharedAccount>,
        id: CallId,
        charged_at: Instant,
        /// When its answer ended.
        ended_at: Instant,
        input: u64,
        output: u64,
        /// Whether its request counts; otherwise it gives a booking back.
        counts: bool,
    },
    /// Heartbeats are wanted now.
    Heartbeat,
    /// What calls of a day have used.
    AddUsage(UsageBatch),
    /// What budgets hold that are gone comes back.
    ReturnLeases(LeaseReport),
    /// The usage of a day is wanted.
    ReadUsage { day: Day, query: UsageQuery },
    /// The provider has throttled a call.
    Throttle {
        account: Arc<dyn SharedAccount>,
        until: Instant,
        /// What is believed after that, as of `noted_at`.
        beliefs: Beliefs,
        noted_at: Instant,
    },
}

impl Op {
    /// Whether a caller waits for it.
    pub(crate) fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::Book { .. } | Self::Throttle { .. } | Self::ReadUsage { .. }
        )
    }

    pub(crate) fn is_booking(&self) -> bool {
        matches!(self, Self::Book { .. })
    }

    /// Whether it is of no use once the store is away: its caller gets no answer.
    pub(crate) fn is_query(&self) -> bool {
        matches!(self, Self::ReadUsage { .. })
    }

    /// The booking that it gives back.
    pub(crate) fn given_back(&self) -> Option<CallId> {
        match self {
            Self::Settle {
                id, counts: false, ..
            } => Some(*id),
            _ => None,
        }
    }

    /// The account that it is about.
    pub(crate) fn account(&self) -> Option<&Arc<dyn SharedAccount>> {
        match self {
            Self::Book { account, .. }
            | Self::Send { account, .. }
            | Self::Settle { account, .. }
            | Self::Throttle { account, .. } => Some(account),
            Self::AddUsage(_)
            | Self::ReturnLeases(_)
            | Self::ReadUsage { .. }
            | Self::Heartbeat => None,
        }
    }
}
