//! What the account knows of one call.

use std::time::Duration;

use crate::quota::{Mark, Room, Scope};
use crate::wire::Problem;

/// The tokens of a call, as known when it starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) prompt: u64,
    /// What the answer will take.
    pub(crate) output: u64,
    /// What it may take at most.
    pub(crate) ceiling: u64,
}

/// A call that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) at: Duration,
    pub(super) prompt: u64,
    pub(super) mark: Mark,
}

/// A call that was not.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    /// How long until it would fit; `None` if that cannot be told, or never.
    pub(crate) wait: Option<Duration>,
    pub(crate) figures: Figures,
    pub(crate) scope: Scope,
}

/// What a refusal may tell of the limit that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Figures {
    pub(crate) limit: u64,
    pub(crate) used: u64,
    pub(crate) asked: u64,
}

impl Figures {
    pub(super) fn of(room: Room, asked: u64) -> Self {
        Self {
            limit: room.limit,
            used: room.limit - room.remaining,
            asked,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    CompletedWithoutUsage,
    Aborted,
    Reset,
    StreamError,
    Cut,
}

impl<P: Into<Problem>> From<P> for Refused {
    fn from(problem: P) -> Self {
        Self {
            problem: problem.into(),
            wait: None,
            figures: Figures::default(),
            scope: Scope::Window,
        }
    }
}
