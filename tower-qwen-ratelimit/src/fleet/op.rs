use std::{sync::Arc, time::Duration};

use tower_qwen_tokens::{internal::clock::Instant, ledger::Day};

use super::{Batch, Question};
use crate::account::Account;

/// A call's number, once per process.
pub(crate) type CallId = u64;

/// Something that a store is to be told.
#[derive(Debug)]
pub(crate) enum Op {
    /// The head asks for its turn.
    Book {
        account: Arc<Account>,
        id: CallId,
        input: u64,
        output: u64,
        /// After which it will not go.
        latest: Option<Instant>,
    },
    /// A call that was booked goes out later than that.
    Send { account: Arc<Account>, id: CallId },
    /// It is known what a call cost, or that it was never sent.
    Settle {
        account: Arc<Account>,
        id: CallId,
        charged_at: Instant,
        /// When its answer ended.
        ended_at: Instant,
        input: u64,
        output: u64,
        /// Whether its request counts.
        counts: bool,
    },
    /// Heartbeats are wanted now.
    Beat,
    /// What calls of a day have used.
    AddUsage(Batch),
    /// The usage of a day is wanted.
    ReadUsage { day: Day, question: Question },
    /// The provider has throttled a call.
    Pause {
        account: Arc<Account>,
        until: Instant,
        shares: (u32, u32),
    },
}

impl Op {
    /// Whether somebody waits for it.
    pub(crate) fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::Book { .. } | Self::Pause { .. } | Self::ReadUsage { .. }
        )
    }
}

/// What a store says to a call that asked for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Booked {
    /// Its turn comes after this time.
    In(Duration),
    /// Its turn would come after this time, which is too late; nothing is booked.
    TooLate(Duration),
    /// It is to ask again after this time; nothing is booked.
    Later(Duration),
    /// It can never go, or was given back before it was booked.
    Never,
}

/// How a process stands at an account, as it tells the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The part of the quota that it runs on, of [`FULL`](crate::adapt::FULL).
    pub(crate) held: u32,
    pub(crate) want: u32,
    /// What throttles have left it of requests and tokens.
    pub(crate) shares: (u32, u32),
    /// Calls that may run at one time, in the fleet.
    pub(crate) most_running: u64,
    pub(crate) slots_held: u64,
    pub(crate) slots_wanted: u64,
    /// The tokens of the largest call that it knows of.
    pub(crate) largest: u64,
}

/// What a process hears of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) members: u64,
    /// Those of them that have something to send.
    pub(crate) busy: u64,
    /// The part of the quota that it may run on, of [`FULL`](crate::adapt::FULL).
    pub(crate) granted: u32,
    pub(crate) closed_for: Duration,
    /// What throttles have left the fleet of requests and tokens.
    pub(crate) shares: (u32, u32),
    pub(crate) slots: u64,
    /// How far ahead the latest booking lies.
    pub(crate) booked_ahead: Duration,
    /// The tokens of the largest call that any of them knows of.
    pub(crate) largest: u64,
}
