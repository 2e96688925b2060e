//! Why a call is not answered.

use crate::config::PlanWindow;

/// Why a call is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// What a bad request is told; empty for all else.
    pub(crate) message: String,
}

/// What a host has a body of its own for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Invalid,
    /// The prompt is longer than any window.
    TooLong,
    Key,
    /// There is no such model.
    Model,
    /// A plan for coding agents, and no coding agent.
    Agents,
    Requests,
    Tokens,
    Concurrency,
    Growth,
    /// A plan's window is used up.
    Plan {
        window: PlanWindow,
        /// Whether the answer says when it ends.
        stated: bool,
    },
    Capacity,
    /// As `Capacity`, with a status that does not tell.
    HiddenCapacity,
    /// A throttle inside a stream that has begun, or that is called 200.
    InStream,
}

impl Kind {
    /// The window of a plan that is used up.
    pub(super) fn window(self) -> Option<PlanWindow> {
        match self {
            Self::Plan { window, .. } => Some(window),
            _ => None,
        }
    }

    /// What a host says where it has no body for this.
    pub(super) fn instead(self) -> Option<Self> {
        match self {
            Self::TooLong => Some(Self::Invalid),
            Self::Agents => Some(Self::Key),
            Self::Concurrency | Self::Growth => Some(Self::Requests),
            Self::Plan { .. } | Self::InStream => Some(Self::Tokens),
            Self::HiddenCapacity => Some(Self::Capacity),
            Self::Invalid
            | Self::Key
            | Self::Model
            | Self::Requests
            | Self::Tokens
            | Self::Capacity => None,
        }
    }
}

impl Problem {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Invalid,
            message: message.into(),
        }
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            message: String::new(),
        }
    }
}
