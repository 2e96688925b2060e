use tower_qwen_tokens::Cause;

/// Why a call leaves a target, and why others keep away from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// A failure that does not go away by waiting.
    Permanent(Cause),
    /// The server asks for a longer wait than calls may wait.
    LongHint(Cause),
    /// No attempts, retry budget or patience left, or a wait that would pass the deadline.
    Retries(Cause),
    /// It would wait here for longer than the next target asks for.
    LongWait(Cause),
    /// A layer inside rejected it before it was sent; with the cause where that is known.
    NotSent(Option<Cause>),
}

impl Leave {
    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::Permanent(cause)
            | Self::LongHint(cause)
            | Self::Retries(cause)
            | Self::LongWait(cause) => Some(cause),
            Self::NotSent(cause) => cause,
        }
    }

    /// Whether the call ends so if no other target takes it, and its caller learns no wait from it.
    pub(crate) fn ends_the_call(self) -> bool {
        match self {
            Self::Permanent(_) => true,
            Self::Retries(cause) => !cause.is_throttle(),
            Self::LongHint(_) | Self::LongWait(_) | Self::NotSent(_) => false,
        }
    }

    /// Whether another member of a pool may serve the call.
    pub(crate) fn is_of_target(self) -> bool {
        match self {
            Self::Permanent(cause) => is_of_target(cause),
            // All members share the attempts of a call.
            Self::Retries(_) => false,
            Self::LongHint(_) | Self::LongWait(_) | Self::NotSent(_) => true,
        }
    }
}

/// Whether a permanent cause lies in the target (its key, account or model), not in the call.
pub(crate) fn is_of_target(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::FreeTier | Cause::Account | Cause::Unauthorized | Cause::Forbidden | Cause::NotFound
    )
}
